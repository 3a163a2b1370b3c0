/* SPDX-License-Identifier: BSD-2-Clause */
/** Sites of the same calls in several processes, such as the workers of a server. */
#ifndef ML_REPORT_GROUPS_H
#define ML_REPORT_GROUPS_H

#include "report/report.h"

struct ml_report_group {
	size_t first;          /**< its biggest site, an index in the report's sites */
	size_t sites;          /**< how many there are */
	uint64_t bytes, count; /**< sums over them */
	bool leaks;            /**< one of them has the verdict leak */
};

/** The groups of a report, biggest first. All-zero is empty. */
struct ml_report_groups {
	ML_ARRAY(struct ml_report_group) list;
};

/** Groups the sites of @p report, which may be fewer than were built. Where the report is of one
 * process each is a group by itself. */
void ml_report_groups_make(const struct ml_report *report, struct ml_report_groups *out);
void ml_report_groups_free(struct ml_report_groups *groups);

/** The site of @p group behind @p site, biggest first; the first one for NULL, NULL for the last.
 */
const struct ml_report_site *ml_report_group_next(const struct ml_report *report,
						  const struct ml_report_group *group,
						  const struct ml_report_site *site);

/** What tells the calls of @p stack from others, but for @p skip frames in front: the same number
 * for the same calls in other processes, whatever their addresses are. Never 0. */
uint64_t ml_report_calls(const struct ml_stack *stack, size_t skip);

#endif

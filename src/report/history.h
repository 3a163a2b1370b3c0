/* SPDX-License-Identifier: BSD-2-Clause */
/** Copies the histories a report shows out of the timeline. */
#ifndef ML_REPORT_HISTORY_H
#define ML_REPORT_HISTORY_H

#include "report/report.h"

/** Fills the points of the sum and the time they begin. */
void ml_history_sum(const struct ml_timeline *timeline, struct ml_report *report);

/** Adds the points of @p stack, which is one of those @p site is made of. */
void ml_history_add(const struct ml_timeline *timeline, uint64_t stack,
		    struct ml_report_site *site);

#endif

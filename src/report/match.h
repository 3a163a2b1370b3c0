/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Which sites of two reports are the same calls, whatever the processes and the addresses.
 *
 * A frame is its build-id and its address in the file where both reports have that very build;
 * elsewhere (rebuilt, JIT, interpreted, the kernel) it is its name.
 */
#ifndef ML_REPORT_MATCH_H
#define ML_REPORT_MATCH_H

#include "base/intern.h"
#include "report/report.h"

/** The builds that two reports have in common. All-zero has none. */
struct ml_match {
	struct ml_intern builds;
};

/** Looks at all frames of @p a and @p b. ml_match_deinit() it. */
void ml_match_init(struct ml_match *match, const struct ml_report *a, const struct ml_report *b);

/** Puts into @p key what is equal for sites of the same calls, in place of what it holds. */
void ml_match_key(const struct ml_match *match, const struct ml_report_site *site,
		  struct ml_strbuf *key);

void ml_match_deinit(struct ml_match *match);

#endif

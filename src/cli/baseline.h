/* SPDX-License-Identifier: BSD-2-Clause */
/** Stacks that are known already (--baseline FILE.ml). */
#ifndef ML_CLI_BASELINE_H
#define ML_CLI_BASELINE_H

#include "record/recording.h"

struct ml_baseline {
	struct ml_recording *recording; /**< what the report borrows from */
	struct ml_report report;        /**< the last one */
};

/** Reads recording @p path. */
struct ml_error *ml_baseline_read(const char *path, struct ml_baseline *out);
void ml_baseline_deinit(struct ml_baseline *baseline);

/** Takes the sites that @p baseline has out of @p report, also out of its sums; returns theirs. */
struct ml_report_others ml_baseline_apply(const struct ml_baseline *baseline,
					  struct ml_report *report);

#endif

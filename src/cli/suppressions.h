/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Sites the user does not want to see, in LeakSanitizer's syntax: lines "leak:PATTERN"; '#' starts
 * a comment line. PATTERN is looked for in each frame's function, file and module; '*' stands for
 * anything, '^' and '$' tie it to the start and the end.
 */
#ifndef ML_CLI_SUPPRESSIONS_H
#define ML_CLI_SUPPRESSIONS_H

#include "base/array.h"
#include "base/error.h"
#include "report/report.h"

struct ml_suppressions {
	ML_ARRAY(char *) patterns; /**< in fnmatch's terms: '*' only; owned */
};

/** Parses @p text of file @p name. ML_ERROR_USAGE names the line that cannot be taken. */
struct ml_error *ml_suppressions_parse(const char *text, const char *name,
				       struct ml_suppressions *out);

/** Reads and parses file @p path. */
struct ml_error *ml_suppressions_read(const char *path, struct ml_suppressions *out);
void ml_suppressions_deinit(struct ml_suppressions *suppressions);

/** Takes matching sites out of @p report, also out of its sums; returns theirs. */
struct ml_report_others ml_suppressions_apply(const struct ml_suppressions *suppressions,
					      struct ml_report *report);

#endif

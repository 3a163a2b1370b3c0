/* SPDX-License-Identifier: BSD-2-Clause */
/** Source lines for the frames of a report, for formats that show them. */
#ifndef ML_REPORT_EXCERPTS_H
#define ML_REPORT_EXCERPTS_H

#include "report/report.h"

/**
 * Reads the lines around those that frames of @p report name into its excerpts: those of sites that
 * leak or grow first, then by the report's order; bounded in files, bytes and lines. What cannot be
 * read is left out.
 *
 * @p open gives a descriptor of the file called so where the target is, or -1. The names come from
 * the target: @p open must not open what the target itself could not read, since a report is
 * passed on.
 */
void ml_excerpts_read(struct ml_report *report, int (*open)(void *context, const char *file),
		      void *context);

#endif

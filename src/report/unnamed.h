/* SPDX-License-Identifier: BSD-2-Clause */
/** Where the frames without a name are. */
#ifndef ML_REPORT_UNNAMED_H
#define ML_REPORT_UNNAMED_H

#include "report/report.h"

/** The module with most frames that have no symbol; borrowed, NULL when there is none. */
const char *ml_report_unnamed_module(const struct ml_report *report);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/** One sentence on the whole report: what leaks, how fast, and how long that can go on. */
#ifndef ML_REPORT_SUMMARY_H
#define ML_REPORT_SUMMARY_H

#include "report/report.h"

/** Fills `summary` of @p report, whose sites, limit and elapsed_s are set. */
void ml_summary_make(struct ml_report *report);

#endif

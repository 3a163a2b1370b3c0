/* SPDX-License-Identifier: BSD-2-Clause */
/** memleak report: any report of a run that was recorded. */
#ifndef ML_CLI_REPORT_COMMAND_H
#define ML_CLI_REPORT_COMMAND_H

#include "cli/options.h"

/** Writes the report and sets *@p status to the exit status. */
struct ml_error *ml_report_command(const struct ml_options *options, int *status);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/** memleak report: any report of a run that was recorded. */
#ifndef ML_CLI_REPORT_COMMAND_H
#define ML_CLI_REPORT_COMMAND_H

#include "cli/options.h"
#include "record/recording.h"

/** Opens the recording called @p path; "-" is the standard input. */
struct ml_error *ml_report_command_open(const char *path, struct ml_recording **out);

/** Writes the report and sets *@p status to the exit status. */
struct ml_error *ml_report_command(const struct ml_options *options, int *status);

#endif

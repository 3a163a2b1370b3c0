/* SPDX-License-Identifier: BSD-2-Clause */
/** memleak without a subcommand: trace and report. */
#ifndef ML_CLI_TRACE_COMMAND_H
#define ML_CLI_TRACE_COMMAND_H

#include "cli/options.h"

/** Exit statuses of memleak. */
enum ml_exit {
	ML_EXIT_DONE = 0,
	ML_EXIT_LEAK = 1,
	ML_EXIT_USAGE = 2,
	ML_EXIT_FAILED = 3,
	ML_EXIT_TARGET_GONE = 4,
};

/** Does what @p options say and returns the exit status; an error is printed. */
int ml_trace_command(const struct ml_options *options);

#endif

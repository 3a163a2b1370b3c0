/* SPDX-License-Identifier: BSD-2-Clause */
/** memleak diff: what is different between two recordings, or two moments of one. */
#ifndef ML_CLI_DIFF_COMMAND_H
#define ML_CLI_DIFF_COMMAND_H

#include "cli/options.h"

/** Writes the differences and sets *@p status to the exit status. */
struct ml_error *ml_diff_command(const struct ml_options *options, int *status);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/** The command that memleak starts and traces (-c or behind "--"). */
#ifndef ML_CLI_COMMAND_H
#define ML_CLI_COMMAND_H

#include "base/error.h"
#include "base/strbuf.h"
#include "cli/options.h"
#include "target/launch.h"

#include <signal.h>
#include <stdbool.h>

struct ml_command {
	struct ml_launch *launch; /**< owned */
	char **words;             /**< of -c, owned; NULL when behind "--" */
	bool has_ended;
	bool is_exit; /**< it ended by itself: `number` is its exit status, else a signal */
	int number;
};

/**
 * Starts what @p options name, stopped before its first instruction, with signal mask @p mask.
 * ml_command_deinit() it. ML_ERROR_USAGE when it cannot be executed.
 */
struct ml_error *ml_command_start(const struct ml_options *options, const sigset_t *mask,
				  struct ml_command *out);

pid_t ml_command_pid(const struct ml_command *command);

/**
 * Learns how it ended without reaping it: its /proc/PID stays readable, and whoever follows it by
 * ptrace still gets its own notice.
 */
void ml_command_peek(struct ml_command *command);

/** Takes the wait status of its end from whoever reaped it. */
void ml_command_take_end(struct ml_command *command, int status);

/** Adds "exit status 3" or "signal 11"; nothing when it is not known. */
void ml_command_describe_end(const struct ml_command *command, struct ml_strbuf *text);

/** Kills it and waits: when it cannot be traced. */
void ml_command_kill(struct ml_command *command);

void ml_command_deinit(struct ml_command *command);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Signals of the tool: taken through a descriptor, so that nothing is ever interrupted half-way
 * through attaching or detaching.
 */
#ifndef ML_CLI_SIGNALS_H
#define ML_CLI_SIGNALS_H

#include "base/error.h"

#include <signal.h>
#include <stdbool.h>
#include <sys/signalfd.h>

/**
 * Blocks INT, TERM, HUP, USR1, CHLD, PIPE and XFSZ; @p before gets the mask that was, for a child.
 * PIPE is blocked and not ignored because an ignored signal would stay ignored in a command that is
 * started. INT is taken even where a shell had it ignored (background jobs): blocked signals are
 * queued all the same.
 */
void ml_signals_block(sigset_t *before);

/** Whether INT, TERM and HUP, which are blocked, end the program after all. */
void ml_signals_may_end(bool may);

/** A non-blocking signalfd for INT, TERM, HUP, USR1 and CHLD; @p fd is the caller's. */
struct ml_error *ml_signals_open(int *fd);

/**
 * From now on another INT or TERM ends the program at once (the kernel takes the probes out with
 * it), for when the last report takes long. Those that come within half a second are taken for the
 * one that was already handled: timeout(1) sends each signal twice.
 */
void ml_signals_let_second_end(void);

#endif

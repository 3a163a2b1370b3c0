/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * What a command has lost when it ends: --fail-on-leak asks for more than a history, which a short
 * run does not have. The command is stopped at its end, with its memory still there, and the
 * blocks are looked for that nothing points to any more.
 */
#ifndef ML_CLI_LOST_BLOCKS_H
#define ML_CLI_LOST_BLOCKS_H

#include "base/array.h"
#include "base/u64map.h"
#include "cli/options.h"
#include "model/snapshot.h"
#include "target/process.h"
#include "trace/tracer.h"

#include <stdbool.h>
#include <stdint.h>

/** Of one site. */
struct ml_lost_site {
	uint64_t bytes, count;
};

/** All-zero is ready. */
struct ml_lost_blocks {
	bool was_looked;
	bool is_ending;            /**< the command stands at its end */
	struct ml_u64map by_stack; /**< → index in sites */
	ML_ARRAY(struct ml_lost_site) sites;
};

/** Whether a command is to be searched, and for that kept a tracee (ml_launch_keep_to_end()). */
bool ml_lost_blocks_wanted(const struct ml_options *options, const struct ml_tracer *tracer);

/** The option for which it cannot be: with it not every block is known, or the end of not every
 * process. NULL for none. */
const char *ml_lost_blocks_obstacle(const struct ml_options *options);

/**
 * Lets the command @p process go on after what ptrace has to say of it, and looks for what it has
 * lost when that is its end. After SIGCHLD. True when it is left standing at an exec, of which the
 * tracer will not hear by itself: call again once it was seen to.
 */
bool ml_lost_blocks_dispatch(struct ml_lost_blocks *lost, struct ml_tracer *tracer,
			     const struct ml_process *process);

/**
 * The agent needs the command @p pid for itself for a moment: lets go of it, or (not @p begins)
 * takes it back. False when it cannot be let go now.
 */
bool ml_lost_blocks_turn(const struct ml_lost_blocks *lost, pid_t pid, bool begins);

/** Fills the lost figures of the sites of @p snapshot, no more than what it shows of each. */
void ml_lost_blocks_fill(const struct ml_lost_blocks *lost, struct ml_snapshot *snapshot);

void ml_lost_blocks_deinit(struct ml_lost_blocks *lost);

#endif

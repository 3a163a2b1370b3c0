/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Where the stack of a program that ends by exit() is still in use.
 *
 * What runs below exit() is the C library's way out. Its frames have words that nobody has written
 * yet: there stand old pointers of calls that returned long ago, also of main() when it has, and
 * what they point to would look as if it could still be reached.
 */
#ifndef ML_CLI_EXIT_FRAME_H
#define ML_CLI_EXIT_FRAME_H

#include "heap/reach.h"
#include "target/process.h"

#include <sys/user.h>

/**
 * Fills @p roots for a thread that stands at its end with @p registers. When it came there by
 * exit() or abort(), its stack counts from the frame of exit()'s caller on, and of the registers
 * those that a function keeps for its caller, as they are and as the frames below saved them; else
 * all of it.
 */
void ml_exit_frame_roots(const struct ml_process *process, const struct user_regs_struct *registers,
			 struct ml_reach_roots *roots);

#endif

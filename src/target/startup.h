/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * The start of a program, from its exec until its loader has mapped all it is linked with.
 *
 * The process goes from system call to system call (PTRACE_SYSCALL). Nothing is written into it,
 * no breakpoint stands at its entry point: should the tool be killed, the program runs on.
 */
#ifndef ML_TARGET_STARTUP_H
#define ML_TARGET_STARTUP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/** How far it is; filled by ml_startup_begin(). Owns nothing. */
struct ml_startup {
	pid_t pid;
	uint64_t debug_slot;               /**< address of its DT_DEBUG value, 0 when it has none */
	uint64_t loader_start, loader_end; /**< the loader's image */
	unsigned int idle_calls;           /**< system calls since the last that mapped code */
	bool is_exit_next;                 /**< the next stop is the end of a system call */
};

enum ml_startup_step {
	ML_STARTUP_GOES_ON,
	ML_STARTUP_MAPPED, /**< it has just mapped something executable */
	ML_STARTUP_OVER,   /**< the loader is done: nothing more to see */
};

/**
 * Looks at @p pid, which stands at its PTRACE_EVENT_EXEC. False when there is no start-up to
 * follow: the program is static, is not for x86-64, or could not be looked at.
 */
bool ml_startup_begin(struct ml_startup *startup, pid_t pid);

/** To be called after others may have made the process run system calls where it stands. */
void ml_startup_continue(struct ml_startup *startup);

/** To be called at each system call stop (PTRACE_O_TRACESYSGOOD), entry and exit, from then on. */
enum ml_startup_step ml_startup_syscall(struct ml_startup *startup);

#endif

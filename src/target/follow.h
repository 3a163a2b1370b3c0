/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Children of a process, found at birth: ptrace (PTRACE_SEIZE with the fork, vfork, clone and exec
 * options) stops a new process before it runs a single instruction.
 *
 * The tracees run freely otherwise; signals are passed on unchanged, group stops stay stopped
 * (PTRACE_LISTEN). If the tool dies the kernel lets go of all of them.
 */
#ifndef ML_TARGET_FOLLOW_H
#define ML_TARGET_FOLLOW_H

#include "base/error.h"
#include "target/launch.h"

#include <stdbool.h>
#include <sys/ptrace.h>
#include <sys/types.h>

/** What a followed thread is held with. */
#define ML_FOLLOW_OPTIONS                                                                          \
	(PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC |     \
	 PTRACE_O_TRACESYSGOOD)

struct ml_follow;

/**
 * What happens to the followed. The process is stopped while a callback runs (in forked() so is the
 * thread of the parent that made the child); a callback may call ml_follow_add(), not
 * ml_follow_stop().
 */
struct ml_follow_events {
	/** @p child was just born of @p parent; with @p is_vfork it shares memory until it execs.
	 * When this gives false it is let go and told of no more. */
	bool (*forked)(void *context, pid_t parent, pid_t child, bool is_vfork);
	/** @p pid has a new image: called at the exec and again after each executable mapping of
	 * its start-up (@p is_exec is true for the first). */
	void (*mapped)(void *context, pid_t pid, bool is_exec);
	/** @p pid is gone; @p status is what waitpid() gave, -1 when somebody else took it. */
	void (*exited)(void *context, pid_t pid, int status);
};

/** Follows @p pid, all its threads and whatever they start. @p events and @p context are borrowed.
 */
struct ml_error *ml_follow_start(pid_t pid, const struct ml_follow_events *events, void *context,
				 struct ml_follow **out);

/**
 * Follows the child of @p launch from its first instruction on, in place of ml_launch_run(): its
 * start-up is told by mapped(), the first time (@p is_exec) before this returns.
 * @p launch can be destroyed any time after; the child is no longer killed with it.
 */
struct ml_error *ml_follow_launch(struct ml_launch *launch, const struct ml_follow_events *events,
				  void *context, struct ml_follow **out);

/**
 * Adds a process that already exists (a child found in /proc), all its threads. One that is
 * followed already is fine.
 */
struct ml_error *ml_follow_add(struct ml_follow *follow, pid_t pid);

/** Whether @p pid is followed. */
bool ml_follow_has(const struct ml_follow *follow, pid_t pid);

/** Whether @p pid is between its exec and the end of its start-up. */
bool ml_follow_is_starting(const struct ml_follow *follow, pid_t pid);

/**
 * Lets go of a process and all its threads: what it forks from then on is not told. False when that
 * cannot be now, and it stays followed: in its start-up, with a fork or exec still to be told, or
 * within a vfork().
 */
bool ml_follow_leave(struct ml_follow *follow, pid_t pid);

/**
 * Handles whatever waitpid() has for us, without waiting: to be called at each SIGCHLD. Other
 * children of the tool are left for whoever started them. After much work it sends the tool another
 * SIGCHLD and returns, so that the rest of the event loop gets its turn.
 */
void ml_follow_dispatch(struct ml_follow *follow);

/**
 * Lets go of everything followed, within a second; what cannot be stopped by then (a parent inside
 * vfork()) is let go by the kernel when the tool ends. Calls no callback. NULL is fine.
 */
void ml_follow_stop(struct ml_follow *follow);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * A command started so that its very first allocation can be traced.
 *
 * The child is stopped by ptrace at its exec; ml_launch_run() lets it go from mapping to mapping
 * until its loader is done, and tells of each executable file mapped on the way, with the child
 * stopped before any code of it ran. Then ptrace lets go of it. Until then it dies with the tool.
 */
#ifndef ML_TARGET_LAUNCH_H
#define ML_TARGET_LAUNCH_H

#include "base/error.h"

#include <stdbool.h>
#include <sys/types.h>

struct ml_launch;

/** What a command gets beside its words. */
struct ml_launch_options {
	const void *mask;  /**< a sigset_t: its signal mask; NULL: the present one */
	bool off_terminal; /**< /dev/null in place of standard descriptors that are terminals */
};

/**
 * Forks and execs @p argv (PATH is searched; NULL-terminated) with the caller's environment,
 * process group and descriptors, SIGPIPE not ignored, stopped right after the exec. ML_ERROR_USAGE
 * when it cannot be executed: names the file and says why; a script without a #! line is not handed
 * to a shell.
 */
struct ml_error *ml_launch_start(char *const argv[], const struct ml_launch_options *options,
				 struct ml_launch **out);

/** The child's pid. */
pid_t ml_launch_pid(const struct ml_launch *launch);

/** Called with the child stopped after something executable was mapped; non-NULL ends the start. */
typedef struct ml_error *ml_launch_mapped(void *context);

/**
 * Runs the child until its loader has mapped all it is linked with, calling @p mapped once at the
 * exec stop and once after each executable mapping, then lets it run free: a static program at
 * once, others at their first system call after loading. When @p mapped fails, the child is killed
 * and the error returned. A child that ends on the way is no error: its end is seen by its pidfd.
 */
struct ml_error *ml_launch_run(struct ml_launch *launch, ml_launch_mapped *mapped, void *context);

/**
 * Before ml_launch_run(): the child is not let go but stays a tracee, of its signals, its
 * execs, and its main thread's end, at which it stops with its memory still there. Whoever waits
 * for it must resume it; when the tool dies, the kernel lets it go.
 */
void ml_launch_keep_to_end(struct ml_launch *launch);

/** Of ptrace, for a child that stays a tracee. */
#define ML_LAUNCH_KEPT_OPTIONS (PTRACE_O_TRACEEXIT | PTRACE_O_TRACEEXEC)

/**
 * As ml_launch_run(), for a child that was kept and now stands at a later exec. It is not killed
 * when @p mapped fails, nor when the tool dies on the way.
 */
struct ml_error *ml_launch_run_again(struct ml_launch *launch, ml_launch_mapped *mapped,
				     void *context);

/** Kills the child when it was never let go. NULL is fine. */
void ml_launch_destroy(struct ml_launch *launch);

/**
 * Cuts a command line into words as a shell would: blanks, '…', "…", \x. Nothing is expanded.
 * @p words (NULL-terminated) is one block for free(). ML_ERROR_USAGE on an open quote or no word.
 */
struct ml_error *ml_launch_words(const char *command, char ***words);

#endif

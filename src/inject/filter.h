/* SPDX-License-Identifier: BSD-2-Clause */
/** System call filters (seccomp) of a target: whether the agent's calls pass them. */
#ifndef ML_INJECT_FILTER_H
#define ML_INJECT_FILTER_H

#include "base/error.h"
#include "inject/stop.h"
#include "target/process.h"

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** How the calls of a target are known to pass. */
enum ml_filter_state {
	ML_FILTER_NONE,    /**< no thread has a filter */
	ML_FILTER_TRIED,   /**< it is our own, and we tried each call */
	ML_FILTER_UNKNOWN, /**< to be read with the threads stopped: ml_filter_check() */
};

/** A number that changes when the main thread gets (Linux < 5.9: its first) filter. */
uint64_t ml_filter_signature(pid_t pid);

/** True when system calls of the thread are filtered. */
bool ml_filter_is_on(pid_t pid, pid_t tid);

/** Looks at all threads. ML_ERROR_UNSUPPORTED when one is in the strict mode, or when a filter that
 * is our own too forbids a call; @p out is right then, too. */
struct ml_error *ml_filter_look(const struct ml_process *process, enum ml_filter_state *out);

/**
 * Reads the filters of the stopped threads and runs them on each call of the agent, and those that
 * get it in. ML_ERROR_UNSUPPORTED names the call that would not pass, or says that the filters
 * cannot be read. Needs CAP_SYS_ADMIN, a tool without a filter, and Linux 4.4.
 */
struct ml_error *ml_filter_check(const struct ml_stop *stop);

/** The answer (SECCOMP_RET_*) of one filter for system call @p number; one that is no filter kills.
 */
uint32_t ml_filter_run(const struct sock_filter *code, size_t count, uint32_t number);

#endif

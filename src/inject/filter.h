/* SPDX-License-Identifier: BSD-2-Clause */
/** System call filters (seccomp) of a target: whether the agent's calls pass them. */
#ifndef ML_INJECT_FILTER_H
#define ML_INJECT_FILTER_H

#include "base/error.h"
#include "inject/stop.h"
#include "target/process.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** How the calls of a target are known to pass. */
enum ml_filter_state {
	ML_FILTER_NONE,    /**< no thread has a filter */
	ML_FILTER_TRIED,   /**< it is our own, and we tried each call */
	ML_FILTER_UNKNOWN, /**< to be read with the threads stopped: ml_filter_denied() */
};

/** A number that changes when the thread gets (Linux < 5.9: its first) filter; 0 for none. */
uint64_t ml_filter_kind(pid_t pid, pid_t tid);

/** True when system calls of the thread are filtered. */
bool ml_filter_is_on(pid_t pid, pid_t tid);

/**
 * Looks at all threads. ML_ERROR_UNSUPPORTED when a filter that is our own too forbids a call that
 * gets the agent in; @p out is right then, too. @p denied gets the calls of the agent (enum
 * ml_agent_call) that our own filter forbids.
 */
struct ml_error *ml_filter_look(const struct ml_process *process, enum ml_filter_state *out,
				uint32_t *denied);

/** Whether the filters of a stopped thread let it make call @p number; false when they cannot be
 * read. */
bool ml_filter_passes(pid_t tid, long number);

/**
 * The agent's calls that the filters of the stopped threads do not let pass: all of them, when
 * they cannot be read. @p inner_pid is what getpid() returns there.
 */
uint32_t ml_filter_denied(const struct ml_stop *stop, pid_t inner_pid);

#endif

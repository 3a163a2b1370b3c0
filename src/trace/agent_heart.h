/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Tells the agents that the tool is alive, and the time: a thread that writes it every few
 * milliseconds into the memory of each. It also hears when a process's loader waits for a look.
 */
#ifndef ML_TRACE_AGENT_HEART_H
#define ML_TRACE_AGENT_HEART_H

#include "base/error.h"
#include "shared/agent_abi.h"

#include <sys/types.h>

struct ml_agent_heart;

struct ml_error *ml_agent_heart_create(struct ml_agent_heart **out);
/** Ends the thread. NULL is fine. */
void ml_agent_heart_destroy(struct ml_agent_heart *heart);

/**
 * Begins to beat in @p memory, that of process @p pid, which must stay mapped until it is dropped.
 * In the first seconds the main thread is looked at, too: programs that get themselves a filter of
 * system calls do so at their start, and the agent must not call before it is known what may be
 * called then.
 */
struct ml_error *ml_agent_heart_add(struct ml_agent_heart *heart, struct ml_agent_memory *memory,
				    pid_t pid);
/** For epoll: readable when a loader waits. Borrowed. */
int ml_agent_heart_fd(const struct ml_agent_heart *heart);

/** Takes note that one waits, or none does. */
void ml_agent_heart_hear(const struct ml_agent_heart *heart);

/** When it returns @p memory is no longer written. One that was never added is fine. */
void ml_agent_heart_drop(struct ml_agent_heart *heart, const struct ml_agent_memory *memory);

#endif

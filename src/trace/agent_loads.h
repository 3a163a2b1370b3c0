/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * The dynamic loader of a process with an agent: when it has loaded something it waits, in the
 * agent (agent/wait.h), until the tool has looked, so that new allocators are patched before they
 * run.
 */
#ifndef ML_TRACE_AGENT_LOADS_H
#define ML_TRACE_AGENT_LOADS_H

#include "trace/agent_attach.h"

/** How things are before a look. */
struct ml_agent_loads {
	uint32_t number;  /**< of what was loaded last */
	uint64_t patched; /**< how many functions were patched */
};

/** True when the loader waits for a look. */
bool ml_agent_loads_wait(const struct ml_agent_attached *attached);

struct ml_agent_loads ml_agent_loads_begin(const struct ml_agent_attached *attached);

/** After the look: lets the loader go on with what was loaded before it. Notes how many functions
 * were patched so late that they may have been called already. */
void ml_agent_loads_end(struct ml_agent_attached *attached, const struct ml_agent_loads *loads);

#endif

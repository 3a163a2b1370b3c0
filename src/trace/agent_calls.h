/* SPDX-License-Identifier: BSD-2-Clause */
/** The calls of --trace that an agent tells of. */
#ifndef ML_TRACE_AGENT_CALLS_H
#define ML_TRACE_AGENT_CALLS_H

#include "base/array.h"
#include "shared/agent_abi.h"
#include "trace/agent_tids.h"
#include "trace/function_names.h"
#include "trace/tracer.h"

/** Those of one process. All-zero is ready. */
struct ml_agent_calls {
	ML_ARRAY(struct ml_agent_call_event) kept; /* of a memory that is gone */
	uint64_t next;     /* number of the next event; what the target can write is not believed */
	uint64_t stuck_ns; /* since when that one is not written; 0: it is not waited for */
	struct ml_agent_tids tids;
};

/** Who gets the calls, and what is needed to tell them. */
struct ml_agent_call_sink {
	void (*take)(void *context, const struct ml_traced_call *call);
	void *context;
	const struct ml_function_names *functions;
	const struct ml_process *process; /**< NULL: gone */
	pid_t pid;
};

/** Gives out what is kept, then events of @p memory (NULL: none), a limited number. */
void ml_agent_calls_read(struct ml_agent_calls *calls, struct ml_agent_memory *memory,
			 const struct ml_agent_call_sink *sink);

/** Keeps what is left in @p memory, which goes, and the names of @p process's threads. */
void ml_agent_calls_keep(struct ml_agent_calls *calls, struct ml_agent_memory *memory,
			 const struct ml_process *process);

void ml_agent_calls_deinit(struct ml_agent_calls *calls);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/** Getting the agent into a process and telling it of the process's code. */
#ifndef ML_TRACE_AGENT_ATTACH_H
#define ML_TRACE_AGENT_ATTACH_H

#include "inject/injection.h"
#include "trace/code_map.h"
#include "trace/module_cache.h"
#include "trace/tracer.h"
#include "trace/unwind_tables.h"

#include <pthread.h>

/** A process with an agent in it. */
struct ml_agent_attached {
	const struct ml_tracer_options *options; /**< borrowed */
	struct ml_module_cache *modules;
	struct ml_process *process; /**< borrowed */
	struct ml_code_map code;
	struct ml_unwind_tables *unwind;
	struct ml_injection injection;
	pthread_t heart;
	bool heart_beats, stop_heart;
	uint64_t beyond_limit, not_patched;
};

/** Attaches: everything is booked when it returns. On an error the process is as it was. */
struct ml_error *ml_agent_attach(struct ml_agent_attached *attached);

/** Tells the agent of the code that @p maps has; @p change is how that differs. */
void ml_agent_tell_code(struct ml_agent_attached *attached, const struct ml_maps *maps);

/** Takes the agent out; the books stay. Twice is fine. */
struct ml_error *ml_agent_detach(struct ml_agent_attached *attached);

void ml_agent_attached_deinit(struct ml_agent_attached *attached);

#endif

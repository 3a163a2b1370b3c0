/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/agent_left.h"

#include "inject/injection.h"

/* Several, when the next came at the wrong moment each time. */
#define LEFT_LIMIT 8

struct ml_error *ml_agent_left_clean(const struct ml_process *process,
				     const struct ml_tracer_options *options)
{
	for (int i = 0; i < LEFT_LIMIT; i++) {
		struct ml_injection_left left;
		struct ml_error *error = ml_injection_find(process, &left);

		if (!error && left.kind == ML_INJECTION_AT_WORK)
			error = ml_error_new(ML_ERROR_TARGET,
					     "another memleak is tracing process %d with the agent",
					     ml_process_pid(process));
		if (error || left.kind == ML_INJECTION_NONE)
			return error;
		error = ml_injection_remove_left(process, &left);
		if (error)
			return error;
		ml_tracer_note(options,
			       left.kind == ML_INJECTION_STALE
				       ? "removed the agent that an earlier memleak left in "
					 "the process"
				       : "removed what the process has inherited of a "
					 "traced parent");
	}
	return NULL;
}

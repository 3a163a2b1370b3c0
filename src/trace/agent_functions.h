/* SPDX-License-Identifier: BSD-2-Clause */
/** The functions of a process that are to be patched. */
#ifndef ML_TRACE_AGENT_FUNCTIONS_H
#define ML_TRACE_AGENT_FUNCTIONS_H

#include "trace/agent_attach.h"

/** Functions, with their bytes. All-zero is empty. */
struct ml_agent_functions {
	ML_ARRAY(struct ml_injection_function) list;
};

/** Adds those of @p allocator that are neither patched nor known not to be patchable, wherever the
 * process has it mapped. */
void ml_agent_functions_add(struct ml_agent_attached *attached,
			    const struct ml_allocator *allocator,
			    struct ml_agent_functions *functions);

/** Adds the function that the dynamic loader calls when it has loaded something. */
void ml_agent_functions_add_loader(struct ml_agent_attached *attached,
				   struct ml_agent_functions *functions);

void ml_agent_functions_free(struct ml_agent_functions *functions);

/** Remembers that the function at @p address of the process cannot be patched. */
void ml_agent_function_refuse(struct ml_agent_attached *attached, uint64_t address);

/** True when the function at @p address is patched, or cannot be. */
bool ml_agent_function_is_done(const struct ml_agent_attached *attached, uint64_t address);

/** True when it is watched where other modules call it. */
bool ml_agent_function_is_by_imports(const struct ml_agent_attached *attached, uint64_t address);

/** Forgets what is watched by its imports and not loaded any more. */
void ml_agent_functions_prune(struct ml_agent_attached *attached);

#endif

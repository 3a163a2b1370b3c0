/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/agent_loads.h"

bool ml_agent_loads_wait(const struct ml_agent_attached *attached)
{
	const struct ml_agent_memory *memory = attached->injection.memory;

	return __atomic_load_n(&memory->loads, __ATOMIC_ACQUIRE) != memory->loads_heard;
}

struct ml_agent_loads ml_agent_loads_begin(const struct ml_agent_attached *attached)
{
	const struct ml_agent_memory *memory = attached->injection.memory;

	return (struct ml_agent_loads){
		.number = __atomic_load_n(&memory->loads, __ATOMIC_ACQUIRE),
		.patched = attached->patched,
	};
}

void ml_agent_loads_end(struct ml_agent_attached *attached, const struct ml_agent_loads *loads)
{
	struct ml_agent_memory *memory = attached->injection.memory;
	uint32_t given_up = __atomic_load_n(&memory->loads_given_up, __ATOMIC_RELAXED);

	if (!attached->has_loader || given_up != attached->loads_given_up)
		attached->late += attached->patched - loads->patched;
	attached->loads_given_up = given_up;
	/* What could not be patched just then is tried again. */
	if (!attached->is_behind)
		__atomic_store_n(&memory->loads_heard, loads->number, __ATOMIC_RELEASE);
}

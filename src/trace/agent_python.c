/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/agent_python.h"

#include <stdlib.h>

void ml_agent_pythons_name(struct ml_agent_pythons *pythons, const struct ml_process *process,
			   uint64_t id, const struct ml_python_record *record)
{
	struct ml_python_stack *stack;

	if (!record->frame[0].code || ml_u64map_get(&pythons->named, id))
		return;
	if (!pythons->names)
		pythons->names = ml_python_names_create();
	stack = ml_alloc(sizeof(*stack));
	ml_python_stack_name(record, &pythons->python, pythons->names, process, stack);
	*ml_u64map_put(&pythons->named, id, NULL) = (uint64_t)(uintptr_t)stack;
}

struct ml_python_stack *ml_agent_pythons_take(struct ml_agent_pythons *pythons, uint64_t id)
{
	const uint64_t *known = ml_u64map_get(&pythons->named, id);
	struct ml_python_stack *stack;

	if (!known)
		return NULL;
	stack = (struct ml_python_stack *)(uintptr_t)*known;
	ml_u64map_remove(&pythons->named, id);
	return stack;
}

void ml_agent_pythons_deinit(struct ml_agent_pythons *pythons)
{
	uint64_t id, stack;

	for (size_t cursor = 0; ml_u64map_next(&pythons->named, &cursor, &id, &stack);)
		free((void *)(uintptr_t)stack);
	ml_u64map_free(&pythons->named);
	ml_python_names_destroy(pythons->names);
	pythons->names = NULL;
}

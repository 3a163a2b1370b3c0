/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/stack_store.h"

#include "base/array.h"
#include "base/u64map.h"

struct ml_stack_store {
	struct ml_u64map by_id; /* id → struct ml_stack *, owned */
};

struct ml_stack_store *ml_stack_store_create(void)
{
	return ml_alloc(sizeof(struct ml_stack_store));
}

void ml_stack_store_destroy(struct ml_stack_store *store)
{
	uint64_t id, value;
	size_t cursor = 0;

	if (!store)
		return;
	while (ml_u64map_next(&store->by_id, &cursor, &id, &value)) {
		struct ml_stack *stack = (struct ml_stack *)(uintptr_t)value;

		free(stack->frames);
		free(stack);
	}
	ml_u64map_free(&store->by_id);
	free(store);
}

const struct ml_stack *ml_stack_store_get(const struct ml_stack_store *store, uint64_t id)
{
	const uint64_t *value = ml_u64map_get(&store->by_id, id);

	return value ? (const struct ml_stack *)(uintptr_t)*value : NULL;
}

static struct ml_stack_frame frame_of(uint64_t entry, const struct ml_code_map *code)
{
	bool is_call = !(entry & ML_STACK_IP_INTERRUPTED);
	uint64_t ip = entry & ~ML_STACK_IP_INTERRUPTED;

	if (ip & ML_STACK_JAVA_INTERPRETED)
		return (struct ml_stack_frame){
			.ip = ML_JAVA_METHOD(ip), .is_call = true, .kind = ML_FRAME_JAVA};
	if (ip & ML_STACK_JAVA_COMPILED)
		ip &= ML_STACK_ADDRESS_MASK;
	if (code)
		return ml_code_map_frame(code, ip, is_call);
	return (struct ml_stack_frame){.ip = ip, .is_call = is_call, .kind = ML_FRAME_NATIVE};
}

/* The frames of @record with those of @python in between. */
static uint32_t fill(struct ml_stack_frame *frames, const struct ml_stack_record *record,
		     const struct ml_code_map *code, const struct ml_python_stack *python)
{
	uint32_t count = 0, next = 0, python_count = python ? python->count : 0;

	for (uint32_t i = 0; i < record->count; i++) {
		struct ml_stack_frame frame = frame_of(record->ip[i], code);

		if (next < python_count && ml_python_stack_is_loop(python, &frame)) {
			frame.is_interpreter = true;
			do
				frames[count++] = python->frames[next];
			while (!python->loop_begins[next++] && next < python_count);
		}
		frames[count++] = frame;
	}
	/* The native walk ended before it came to the loops of these. */
	while (next < python_count)
		frames[count++] = python->frames[next++];
	return count;
}

const struct ml_stack *ml_stack_store_add(struct ml_stack_store *store, uint64_t id,
					  const struct ml_stack_record *record,
					  const struct ml_code_map *code,
					  const struct ml_python_stack *python)
{
	bool is_new;
	uint64_t *value = ml_u64map_put(&store->by_id, id, &is_new);

	if (!is_new)
		return (const struct ml_stack *)(uintptr_t)*value;

	struct ml_stack *stack = ml_alloc(sizeof(*stack));
	size_t room = record->count + (python ? python->count : 0);

	*stack = (struct ml_stack){
		.id = id,
		.pid = (pid_t)record->tgid,
		.end = record->end < ML_WALK_END_COUNT ? record->end : ML_WALK_FAULT,
		.frames = ml_alloc(room * sizeof(*stack->frames)),
	};
	stack->count = fill(stack->frames, record, code, python);
	*value = (uint64_t)(uintptr_t)stack;
	return stack;
}

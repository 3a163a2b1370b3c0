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

/* Stack frames in the making. */
struct frames {
	ML_ARRAY(struct ml_stack_frame) list;
};

/* The frames of one entry that is not of an interpreter written in C. */
static void add_entry(struct frames *frames, uint64_t entry, const struct ml_code_map *code,
		      const struct ml_java_namer *java)
{
	struct ml_java_frames named = {0};

	if (java)
		named = ml_java_names_get(java->names, java->java, java->memory, entry);
	if (!named.count)
		*ml_array_push(&frames->list) = frame_of(entry, code);
	for (size_t i = 0; i < named.count; i++)
		*ml_array_push(&frames->list) = named.items[i];
}

/* The frames of @record with those of @python in between. */
static void fill(struct frames *frames, const struct ml_stack_record *record,
		 const struct ml_code_map *code, const struct ml_java_namer *java,
		 const struct ml_python_stack *python)
{
	uint32_t next = 0, python_count = python ? python->count : 0;

	for (uint32_t i = 0; i < record->count; i++) {
		struct ml_stack_frame frame = frame_of(record->ip[i], code);

		if (next == python_count || !ml_python_stack_is_loop(python, &frame)) {
			add_entry(frames, record->ip[i], code, java);
			continue;
		}
		frame.is_interpreter = true;
		do
			*ml_array_push(&frames->list) = python->frames[next];
		while (!python->loop_begins[next++] && next < python_count);
		*ml_array_push(&frames->list) = frame;
	}
	/* The native walk ended before it came to the loops of these. */
	while (next < python_count)
		*ml_array_push(&frames->list) = python->frames[next++];
}

const struct ml_stack *ml_stack_store_add(struct ml_stack_store *store, uint64_t id,
					  const struct ml_stack_record *record,
					  const struct ml_code_map *code,
					  const struct ml_java_namer *java,
					  const struct ml_python_stack *python)
{
	bool is_new;
	uint64_t *value = ml_u64map_put(&store->by_id, id, &is_new);
	struct frames frames = {0};

	if (!is_new)
		return (const struct ml_stack *)(uintptr_t)*value;

	struct ml_stack *stack = ml_alloc(sizeof(*stack));

	fill(&frames, record, code, java, python);
	*stack = (struct ml_stack){
		.id = id,
		.pid = (pid_t)record->tgid,
		.end = record->end < ML_WALK_END_COUNT ? record->end : ML_WALK_FAULT,
		.frames = frames.list.items,
		.count = (uint32_t)frames.list.count,
	};
	*value = (uint64_t)(uintptr_t)stack;
	return stack;
}

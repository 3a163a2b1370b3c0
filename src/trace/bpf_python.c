/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/bpf_python.h"

#include "base/u64map.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>

struct ml_bpf_python {
	int stacks_fd;
	struct ring_buffer *ring;
	void (*hear)(void *context, const struct ml_name_event *event);
	void *context;
	struct ml_u64map named; /* stack id → struct ml_python_stack *, owned */
};

static int take_event(void *context, void *data, size_t size)
{
	struct ml_bpf_python *python = context;

	if (size >= sizeof(struct ml_name_event))
		python->hear(python->context, data);
	return 0;
}

struct ml_error *ml_bpf_python_open(int stacks_fd, int events_fd,
				    void (*hear)(void *context, const struct ml_name_event *event),
				    void *context, struct ml_bpf_python **out)
{
	struct ml_bpf_python *python = ml_alloc(sizeof(*python));

	python->stacks_fd = stacks_fd;
	python->hear = hear;
	python->context = context;
	*out = python;
	python->ring = ring_buffer__new(events_fd, take_event, python, NULL);
	if (!python->ring)
		return ml_error_errno(errno, "cannot map the ring of Python stacks");
	return NULL;
}

void ml_bpf_python_close(struct ml_bpf_python *python)
{
	uint64_t id, stack;

	if (!python)
		return;
	for (size_t cursor = 0; ml_u64map_next(&python->named, &cursor, &id, &stack);)
		free((void *)(uintptr_t)stack);
	ml_u64map_free(&python->named);
	ring_buffer__free(python->ring);
	free(python);
}

int ml_bpf_python_fd(const struct ml_bpf_python *python)
{
	return ring_buffer__epoll_fd(python->ring);
}

void ml_bpf_python_dispatch(struct ml_bpf_python *python)
{
	ring_buffer__consume(python->ring);
}

/* Takes stack @id out of the kernel's table and names it; NULL when it is not there. */
static struct ml_python_stack *read_stack(const struct ml_bpf_python *python,
					  struct ml_bpf_process *process, uint64_t id)
{
	struct ml_python_record record;

	if (!process->python.module || bpf_map_lookup_elem(python->stacks_fd, &id, &record))
		return NULL;
	bpf_map_delete_elem(python->stacks_fd, &id);
	if (!process->python_names)
		process->python_names = ml_python_names_create();

	struct ml_python_stack *stack = ml_alloc(sizeof(*stack));

	ml_python_stack_name(&record, &process->python, process->python_names,
			     process->is_attached ? process->process : NULL, stack);
	return stack;
}

void ml_bpf_python_name(struct ml_bpf_python *python, struct ml_bpf_process *process, uint64_t id)
{
	struct ml_python_stack *stack;

	if (ml_u64map_get(&python->named, id))
		return;
	stack = read_stack(python, process, id);
	if (stack)
		*ml_u64map_put(&python->named, id, NULL) = (uint64_t)(uintptr_t)stack;
}

struct ml_python_stack *ml_bpf_python_take(struct ml_bpf_python *python,
					   struct ml_bpf_process *process, uint64_t id)
{
	const uint64_t *known = ml_u64map_get(&python->named, id);

	if (!known)
		return read_stack(python, process, id);

	struct ml_python_stack *stack = (struct ml_python_stack *)(uintptr_t)*known;

	ml_u64map_remove(&python->named, id);
	return stack;
}

void ml_bpf_python_list(const struct ml_bpf_python *python, struct ml_stack_ids *out)
{
	uint64_t id, next, stack;
	int more = bpf_map_get_next_key(python->stacks_fd, NULL, &next);

	while (!more) {
		id = next;
		*ml_array_push(out) = id;
		more = bpf_map_get_next_key(python->stacks_fd, &id, &next);
	}
	for (size_t cursor = 0; ml_u64map_next(&python->named, &cursor, &id, &stack);)
		*ml_array_push(out) = id;
}

void ml_bpf_python_forget(struct ml_bpf_python *python, uint64_t id)
{
	const uint64_t *known = ml_u64map_get(&python->named, id);

	if (known)
		free((void *)(uintptr_t)*known);
	ml_u64map_remove(&python->named, id);
	bpf_map_delete_elem(python->stacks_fd, &id);
}

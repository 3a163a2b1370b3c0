/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/bpf_forget.h"

#include "base/array.h"

#include <bpf/bpf.h>

/* Keys are collected first: deleting while walking a BPF hash starts the walk over. */
static void forget_blocks(int fd, pid_t pid)
{
	ML_ARRAY(struct ml_live_key) keys = {0};
	struct ml_live_key key, next;
	int more = bpf_map_get_next_key(fd, NULL, &next);

	while (!more) {
		key = next;
		if ((pid_t)key.tgid == pid)
			*ml_array_push(&keys) = key;
		more = bpf_map_get_next_key(fd, &key, &next);
	}
	ml_array_each (old, &keys)
		bpf_map_delete_elem(fd, old);
	ml_array_free(&keys);
}

typedef ML_ARRAY(uint64_t) stack_ids;

static void list_stack(void *context, uint64_t id, const struct ml_stack_record *record)
{
	stack_ids *ids = context;

	(void)record;
	*ml_array_push(ids) = id;
}

static void forget_stacks(const struct ml_bpf_books *books, pid_t pid)
{
	stack_ids ids = {0};

	ml_bpf_books_each_stack(books, pid, list_stack, &ids);
	ml_array_each (old, &ids) {
		bpf_map_delete_elem(books->sites_fd, old);
		bpf_map_delete_elem(books->stacks_fd, old);
	}
	ml_array_free(&ids);
}

void ml_bpf_forget(const struct ml_bpf_books *books, pid_t pid)
{
	forget_blocks(books->live_fd, pid);
	forget_stacks(books, pid);
}

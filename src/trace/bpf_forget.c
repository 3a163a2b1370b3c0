/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/bpf_forget.h"

#include "base/array.h"

#include <bpf/bpf.h>

struct block_list {
	pid_t pid;
	ML_ARRAY(struct ml_live_key) keys;
};

static void list_block(void *context, const struct ml_live_key *key,
		       const struct ml_live_record *record)
{
	struct block_list *blocks = context;

	(void)record;
	if ((pid_t)key->tgid == blocks->pid)
		*ml_array_push(&blocks->keys) = *key;
}

/* Keys are collected first: deleting while walking a BPF hash starts the walk over. */
static void forget_blocks(const struct ml_bpf_books *books, pid_t pid)
{
	struct block_list blocks = {.pid = pid};

	ml_error_free(ml_bpf_books_each_block(books, list_block, &blocks));
	ml_array_each (old, &blocks.keys)
		bpf_map_delete_elem(books->live_fd, old);
	ml_array_free(&blocks.keys);
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
	forget_blocks(books, pid);
	forget_stacks(books, pid);
}

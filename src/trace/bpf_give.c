/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/bpf_give.h"

#include <bpf/bpf.h>

/* The blocks of one process. */
struct taking {
	pid_t pid;
	ml_prior_blocks *out;
};

static void take(void *context, const struct ml_live_key *key, const struct ml_live_record *record)
{
	const struct taking *taking = context;

	if ((pid_t)key->tgid != taking->pid)
		return;
	*ml_array_push(taking->out) = (struct ml_prior_block){
		.block = {.address = key->address,
			  .size = record->size,
			  .stack = record->stack,
			  .born_ns = record->born_ns,
			  .pid = (pid_t)key->tgid,
			  .tid = (pid_t)record->tid},
		.weight_bytes = record->weight_bytes,
		.weight_count = record->weight_count,
	};
}

static void count_as_freed(void *context, uint64_t id, const struct ml_stack_record *stack)
{
	const struct ml_bpf_books *books = context;
	struct ml_site_record site;

	(void)stack;
	if (bpf_map_lookup_elem(books->sites_fd, &id, &site))
		return;
	site.frees = site.allocs;
	site.free_bytes = site.alloc_bytes;
	bpf_map_update_elem(books->sites_fd, &id, &site, BPF_EXIST);
}

struct ml_error *ml_bpf_give(const struct ml_bpf_books *books, pid_t pid, ml_prior_blocks *out)
{
	struct taking taking = {.pid = pid, .out = out};
	struct ml_error *error = ml_bpf_books_each_block(books, take, &taking);

	if (error)
		return error;
	ml_array_each (block, out) {
		const struct ml_live_key key = {.address = block->block.address,
						.tgid = (uint32_t)pid};

		bpf_map_delete_elem(books->live_fd, &key);
	}
	ml_bpf_books_each_stack(books, pid, count_as_freed, (void *)books);
	return NULL;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/agent_books.h"

#include "base/clock.h"
#include "base/file.h"

#include <string.h>

/* Everything in the memory is written by the target: no number in it is believed. */

static const struct ml_agent_thread *thread_at(const struct ml_agent_memory *memory, size_t i)
{
	return __atomic_load_n(&memory->threads[i].pointer, __ATOMIC_RELAXED) ? &memory->threads[i]
									      : NULL;
}

uint64_t ml_agent_books_events(const struct ml_agent_memory *memory)
{
	uint64_t events = 0;

	for (size_t i = 0; i < ML_AGENT_THREADS; i++)
		events += thread_at(memory, i) ? thread_at(memory, i)->events : 0;
	return events;
}

/* The site of stack number @stack, made in @out when it is new. */
static struct ml_site_books *site_of(struct ml_snapshot *out, uint32_t *index, uint32_t stack)
{
	if (!index[stack]) {
		*ml_array_push(&out->sites) =
			(struct ml_site_books){.stack = (uint64_t)stack + ML_STACK_ID_NONE};
		index[stack] = (uint32_t)out->sites.count;
	}
	return &out->sites.items[index[stack] - 1];
}

/* A block as it was at one moment; false while it is changing. */
static bool read_block(const struct ml_agent_block *block, struct ml_agent_block *out)
{
	uint64_t address = __atomic_load_n(&block->address, __ATOMIC_ACQUIRE);

	if (address <= 1)
		return false;
	*out = *block;
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return __atomic_load_n(&block->address, __ATOMIC_RELAXED) == address &&
	       out->stack < ML_AGENT_STACKS;
}

static void book_block(struct ml_snapshot *out, const struct ml_snapshot_filter *filter,
		       uint32_t *index, const struct ml_agent_block *block, pid_t pid)
{
	struct ml_site_books *site = site_of(out, index, block->stack);
	uint64_t born = block->born_ns;
	uint64_t age = born < out->time_ns ? out->time_ns - born : 0;

	site->live_bytes += block->size;
	site->live_count++;
	if (!site->oldest_born_ns || born < site->oldest_born_ns)
		site->oldest_born_ns = born;
	if (born > site->newest_born_ns)
		site->newest_born_ns = born;
	if (filter->want_ages && age < filter->min_age_ns)
		return;
	site->shown_bytes += block->size;
	site->shown_count++;
	if (!filter->want_blocks)
		return;
	*ml_array_push(&out->blocks) = (struct ml_block){
		.address = block->address,
		.size = block->size,
		.stack = (uint64_t)block->stack + ML_STACK_ID_NONE,
		.born_ns = born,
		.pid = pid,
		.tid = (pid_t)block->tid,
	};
}

/* Living blocks first: what is freed is what was allocated minus what lives. */
static void read_blocks(const struct ml_agent_memory *memory,
			const struct ml_snapshot_filter *filter, uint32_t *index,
			size_t bucket_count, struct ml_snapshot *out)
{
	struct ml_agent_block block;

	for (size_t i = 0; i < bucket_count; i++)
		for (size_t k = 0; k < ML_AGENT_BLOCKS; k++)
			if (read_block(&memory->buckets[i].block[k], &block))
				book_block(out, filter, index, &block, (pid_t)memory->tgid);
}

static void read_sites(const struct ml_agent_memory *memory, uint32_t *index,
		       struct ml_snapshot *out)
{
	for (uint32_t i = 0; i < ML_AGENT_STACKS; i++) {
		struct ml_agent_site record = memory->sites[i];

		if (!record.allocs)
			continue;

		struct ml_site_books *site = site_of(out, index, i);

		site->allocs = record.allocs > site->live_count ? record.allocs : site->live_count;
		site->alloc_bytes = record.alloc_bytes > site->live_bytes ? record.alloc_bytes
									  : site->live_bytes;
		site->frees = site->allocs - site->live_count;
		site->free_bytes = site->alloc_bytes - site->live_bytes;
		out->allocs += site->allocs;
		out->frees += site->frees;
	}
}

void ml_agent_books_snapshot(const struct ml_agent_memory *memory,
			     const struct ml_snapshot_filter *filter, struct ml_snapshot *out)
{
	struct ml_snapshot fresh = {.time_ns = ml_monotonic_ns()};
	ML_FREE_CLEANUP uint32_t *index = ml_alloc(sizeof(*index) * ML_AGENT_STACKS);
	size_t buckets = (memory->header.size - sizeof(*memory)) / sizeof(memory->buckets[0]);

	read_blocks(memory, filter, index, buckets, &fresh);
	read_sites(memory, index, &fresh);
	memcpy(fresh.counters, memory->counters, sizeof(fresh.counters));
	fresh.untracked_frees = memory->counters[ML_SLOT_UNTRACKED_FREES];
	for (size_t i = 0; i < ML_AGENT_THREADS; i++)
		if (thread_at(memory, i))
			fresh.untracked_frees += thread_at(memory, i)->untracked_frees;
	ml_snapshot_deinit(out);
	*out = fresh;
}

bool ml_agent_books_stack(const struct ml_agent_memory *memory, uint64_t id,
			  struct ml_stack_record *out)
{
	uint64_t number = id - ML_STACK_ID_NONE;

	if (!number || number >= ML_AGENT_STACKS)
		return false;

	const struct ml_agent_stack *stack = &memory->stacks[number];
	uint32_t count = __atomic_load_n(&stack->count, __ATOMIC_ACQUIRE), first = stack->first;

	if (!count || count > ML_STACK_DEPTH || first > ML_AGENT_WORDS - count)
		return false;
	*out = (struct ml_stack_record){.count = count, .end = stack->end, .tgid = memory->tgid};
	memcpy(out->ip, memory->words + first, count * sizeof(*out->ip));
	return true;
}

bool ml_agent_books_next_map(struct ml_agent_memory *memory, struct ml_map_event *out)
{
	uint64_t tail = memory->map_event_tail;
	const struct ml_agent_map_event *event =
		&memory->map_events[tail & (ML_AGENT_MAP_EVENTS - 1)];

	if (__atomic_load_n(&event->sequence, __ATOMIC_ACQUIRE) != tail + 1)
		return false;
	*out = event->event;
	__atomic_store_n(&memory->map_event_tail, tail + 1, __ATOMIC_RELEASE);
	return true;
}

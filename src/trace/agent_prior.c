/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/agent_prior.h"

#include <stdlib.h>

/* A thread may be stopped on its way between looking a block up and noting that it is not there. */
#define LOG_TICKS 10

void ml_agent_prior_expect(struct ml_agent_memory *memory)
{
	memory->logs_freed = memory->has_prior = 1;
	/* When it samples, what is freed is looked for whatever its address. */
	for (size_t i = 0; i < ML_AGENT_FILTER; i++)
		memory->filter[i] = ML_AGENT_FILTER_OTHERS;
}

/* Puts @block into the agent's table, which only we add to. */
static bool place_block(struct ml_agent_memory *memory, struct ml_prior_block *block)
{
	uint32_t first = ml_agent_prior_first(block->block.address);

	for (uint32_t i = 0; i < ML_AGENT_PRIOR_PROBES; i++) {
		uint32_t place = (first + i) & (ML_AGENT_PRIOR - 1);

		if (__atomic_load_n(&memory->prior[place], __ATOMIC_RELAXED))
			continue;
		block->place = place;
		__atomic_store_n(&memory->prior[place], ML_AGENT_PRIOR_ALIVE(block->block.address),
				 __ATOMIC_RELEASE);
		return true;
	}
	return false;
}

static int by_stack(const void *a, const void *b)
{
	const struct ml_prior_block *one = a, *other = b;

	return one->block.stack < other->block.stack ? -1 : one->block.stack > other->block.stack;
}

size_t ml_agent_prior_fill(struct ml_agent_prior *prior, struct ml_agent_memory *memory,
			   ml_prior_blocks *blocks)
{
	size_t left_out = 0;

	if (blocks->count)
		qsort(blocks->items, blocks->count, sizeof(*blocks->items), by_stack);
	ml_array_each (block, blocks) {
		if (!place_block(memory, block)) {
			left_out++;
			continue;
		}
		*ml_u64map_put(&prior->by_address, block->block.address, NULL) =
			prior->blocks.count;
		*ml_array_push(&prior->blocks) = *block;
	}
	ml_array_free(blocks);
	prior->log_ticks = LOG_TICKS;
	return left_out;
}

/* What was freed before it was in the table. */
static void read_log(struct ml_agent_prior *prior, const struct ml_agent_memory *memory)
{
	uint64_t count = __atomic_load_n(&memory->freed_count, __ATOMIC_ACQUIRE);

	for (; prior->log_read < count && prior->log_read < ML_AGENT_FREED; prior->log_read++) {
		uint64_t address =
			__atomic_load_n(&memory->freed[prior->log_read], __ATOMIC_ACQUIRE);
		const uint64_t *index = ml_u64map_get(&prior->by_address, address);

		if (!address)
			break; /* about to be written */
		if (!index || prior->blocks.items[*index].is_freed)
			continue;
		prior->blocks.items[*index].is_freed = true;
		prior->known_late++;
	}
}

bool ml_agent_prior_tick(struct ml_agent_prior *prior, struct ml_agent_memory *memory)
{
	if (!prior->log_ticks)
		return true;
	read_log(prior, memory);
	if (--prior->log_ticks)
		return true;
	__atomic_store_n(&memory->logs_freed, 0, __ATOMIC_RELAXED);
	ml_u64map_free(&prior->by_address);
	return memory->freed_count <= ML_AGENT_FREED;
}

static bool is_alive(const struct ml_prior_block *block, const struct ml_agent_memory *memory)
{
	return !block->is_freed &&
	       __atomic_load_n(&memory->prior[block->place], __ATOMIC_RELAXED) ==
		       ML_AGENT_PRIOR_ALIVE(block->block.address);
}

void ml_agent_prior_settle(struct ml_agent_prior *prior, struct ml_agent_memory *memory)
{
	size_t kept = 0;

	/* Places in the list count while the log is read. */
	if (!memory || !prior->blocks.count)
		return;
	if (prior->log_ticks) {
		read_log(prior, memory);
		ml_array_each (block, &prior->blocks)
			block->is_freed = !is_alive(block, memory);
		return;
	}
	ml_array_each (block, &prior->blocks)
		if (is_alive(block, memory))
			prior->blocks.items[kept++] = *block;
	prior->blocks.count = kept;
	if (!kept)
		__atomic_store_n(&memory->has_prior, 0, __ATOMIC_RELAXED);
}

void ml_agent_prior_snapshot(const struct ml_agent_prior *prior,
			     const struct ml_snapshot_filter *filter, struct ml_snapshot *out)
{
	struct ml_site_books *site = NULL;

	out->untracked_frees -= prior->known_late;
	ml_array_each (block, &prior->blocks) {
		if (block->is_freed)
			continue;
		if (!site || site->stack != block->block.stack) {
			site = ml_array_push(&out->sites);
			*site = (struct ml_site_books){.stack = block->block.stack};
		}
		ml_snapshot_add_block(out, site, filter, &block->block, block->weight_bytes,
				      block->weight_count);
		site->frees -= block->weight_count;
		site->free_bytes -= block->weight_bytes;
		out->frees -= block->weight_count;
	}
}

void ml_agent_prior_mark(const struct ml_agent_prior *prior, uint8_t *others)
{
	ml_array_each (block, &prior->blocks)
		if (!block->is_freed)
			others[ml_agent_filter_index(block->block.address)] = 1;
}

void ml_agent_prior_deinit(struct ml_agent_prior *prior)
{
	ml_array_free(&prior->blocks);
	ml_u64map_free(&prior->by_address);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/agent_books.h"

#include "base/file.h"

#include <string.h>
#include <unistd.h>

/* Everything in the memory is written by the target: no number in it is believed. */

static uint64_t id_of(const struct ml_agent_books *books, uint32_t stack)
{
	return ((uint64_t)books->index << 32 | stack) + ML_STACK_ID_NONE;
}

/* ---- what was ever written --------------------------------------------------------------------
 */

/* A part of the memory file. */
struct extent {
	size_t start, end;
};

/*
 * The next part of the file at or behind part->end and before @limit that holds anything. What was
 * never written must not be read: the kernel would fill each hole with a page of zeros.
 */
static bool next_extent(const struct ml_agent_books *books, struct extent *part, size_t limit)
{
	off_t data = lseek(books->fd, (off_t)part->end, SEEK_DATA), hole;

	if (data < 0 || (size_t)data >= limit)
		return false;
	hole = lseek(books->fd, data, SEEK_HOLE);
	part->start = (size_t)data;
	part->end = hole < 0 || (size_t)hole > limit ? limit : (size_t)hole;
	return part->end > part->start;
}

/* Of an array of things of @size bytes that begins at @offset: the first that has a byte in @part,
 * and the first behind it. */
static void items_in(const struct extent *part, size_t offset, size_t size, size_t *first,
		     size_t *end)
{
	*first = part->start > offset ? (part->start - offset) / size : 0;
	*end = (part->end - offset + size - 1) / size;
}

/* The thread in slot @i, NULL when there never was one. */
static const struct ml_agent_thread *thread_at(const struct ml_agent_books *books, size_t i)
{
	const struct ml_agent_thread *thread = &books->memory->threads[i];
	size_t at = (size_t)((const char *)thread - (const char *)books->memory);

	if (lseek(books->fd, (off_t)at, SEEK_DATA) != (off_t)at)
		return NULL;
	return __atomic_load_n(&thread->pointer, __ATOMIC_RELAXED) ? thread : NULL;
}

uint64_t ml_agent_books_events(const struct ml_agent_books *books)
{
	uint64_t events = books->frozen_events;

	for (size_t i = 0; books->memory && i < ML_AGENT_THREADS; i++) {
		const struct ml_agent_thread *thread = thread_at(books, i);

		events += thread ? thread->events : 0;
	}
	return events;
}

/* ---- blocks and sites -------------------------------------------------------------------------
 */

/* What a reading of the books needs. */
struct reading {
	const struct ml_agent_books *books;
	const struct ml_snapshot_filter *filter;
	struct ml_snapshot *out;
	uint32_t *index; /* stack number → place in out->sites, + 1 */
};

/* The site of stack number @stack, made when it is new. */
static struct ml_site_books *site_of(struct reading *reading, uint32_t stack)
{
	struct ml_snapshot *out = reading->out;

	if (!reading->index[stack]) {
		*ml_array_push(&out->sites) =
			(struct ml_site_books){.stack = id_of(reading->books, stack)};
		reading->index[stack] = (uint32_t)out->sites.count;
	}
	return &out->sites.items[reading->index[stack] - 1];
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

/* Counts a block in its cohort and shows it when it is old enough. */
static void show_block(const struct ml_snapshot_filter *filter, struct ml_site_books *site,
		       const struct ml_block *block, struct ml_snapshot *out)
{
	uint64_t age = block->born_ns < out->time_ns ? out->time_ns - block->born_ns : 0;

	ml_snapshot_add_cohort(out, site, filter, block->born_ns, block->size, 1);
	if (filter->want_ages &&
	    (age < filter->min_age_ns || block->born_ns < filter->born_after_ns))
		return;
	site->shown_bytes += block->size;
	site->shown_count++;
	if (filter->want_blocks)
		*ml_array_push(&out->blocks) = *block;
}

static void book_block(struct reading *reading, const struct ml_agent_block *record)
{
	struct ml_site_books *site = site_of(reading, record->stack);
	uint64_t born = record->born_ns;
	struct ml_block block = {
		.address = record->address,
		.size = record->size,
		.stack = id_of(reading->books, record->stack),
		.born_ns = born,
		.pid = (pid_t)reading->books->memory->tgid,
		.tid = (pid_t)record->tid,
	};

	ml_site_books_add(site, born, block.size, 1);
	show_block(reading->filter, site, &block, reading->out);
}

/* Living blocks first: what is freed is what was allocated minus what lives. */
static void read_blocks(struct reading *reading)
{
	const struct ml_agent_memory *memory = reading->books->memory;
	size_t offset = offsetof(struct ml_agent_memory, buckets), limit = memory->header.size;
	struct extent part = {.end = offset};
	struct ml_agent_block block;

	while (next_extent(reading->books, &part, limit)) {
		size_t first, end;

		items_in(&part, offset, sizeof(memory->buckets[0]), &first, &end);
		for (size_t i = first; i < end; i++)
			for (size_t k = 0; k < ML_AGENT_BLOCKS; k++)
				if (read_block(&memory->buckets[i].block[k], &block))
					book_block(reading, &block);
	}
}

static void book_site(struct reading *reading, uint32_t stack, const struct ml_agent_site *record)
{
	struct ml_snapshot *out = reading->out;
	struct ml_site_books *site;

	if (!record->allocs)
		return;
	site = site_of(reading, stack);
	site->allocs = record->allocs > site->live_count ? record->allocs : site->live_count;
	site->alloc_bytes =
		record->alloc_bytes > site->live_bytes ? record->alloc_bytes : site->live_bytes;
	site->frees = site->allocs - site->live_count;
	site->free_bytes = site->alloc_bytes - site->live_bytes;
	out->allocs += site->allocs;
	out->frees += site->frees;
}

static void read_sites(struct reading *reading)
{
	const struct ml_agent_memory *memory = reading->books->memory;
	size_t offset = offsetof(struct ml_agent_memory, sites);
	struct extent part = {.end = offset};

	while (next_extent(reading->books, &part, offset + sizeof(memory->sites))) {
		size_t first, end;

		items_in(&part, offset, sizeof(memory->sites[0]), &first, &end);
		for (size_t i = first; i < end; i++) {
			struct ml_agent_site record = memory->sites[i];

			book_site(reading, (uint32_t)i, &record);
		}
	}
}

static void read_counters(const struct ml_agent_books *books, struct ml_snapshot *out)
{
	const struct ml_agent_memory *memory = books->memory;

	for (size_t i = 0; i < ML_COUNTER_COUNT; i++)
		out->counters[i] += memory->counters[i];
	out->untracked_frees += memory->counters[ML_SLOT_UNTRACKED_FREES];
	for (size_t i = 0; i < ML_AGENT_THREADS; i++) {
		const struct ml_agent_thread *thread = thread_at(books, i);

		out->untracked_frees += thread ? thread->untracked_frees : 0;
	}
}

/* ---- books of those that ended ----------------------------------------------------------------
 */

static void add_frozen(const struct ml_snapshot *frozen, const struct ml_snapshot_filter *filter,
		       struct ml_snapshot *out)
{
	size_t first = out->sites.count, at = 0;

	/* Blocks stand in the order of their sites. */
	ml_array_each (it, &frozen->sites) {
		struct ml_site_books *site = ml_array_push(&out->sites);

		*site = *it;
		site->shown_bytes = site->shown_count = site->cohorts = 0;
	}
	for (size_t i = first; i < out->sites.count; i++)
		for (; at < frozen->blocks.count &&
		       frozen->blocks.items[at].stack == out->sites.items[i].stack;
		     at++)
			show_block(filter, &out->sites.items[i], &frozen->blocks.items[at], out);
	for (size_t i = 0; i < ML_COUNTER_COUNT; i++)
		out->counters[i] += frozen->counters[i];
	out->allocs += frozen->allocs;
	out->frees += frozen->frees;
	out->untracked_frees += frozen->untracked_frees;
}

static int by_stack(const void *a, const void *b)
{
	const struct ml_block *one = a, *other = b;

	return one->stack < other->stack ? -1 : one->stack > other->stack;
}

static int site_by_stack(const void *a, const void *b)
{
	const struct ml_site_books *one = a, *other = b;

	return one->stack < other->stack ? -1 : one->stack > other->stack;
}

void ml_agent_books_freeze(struct ml_agent_books *books)
{
	const struct ml_snapshot_filter everything = {.want_blocks = true};
	struct ml_snapshot *frozen = &books->frozen;

	if (!books->memory)
		return;
	ml_agent_books_snapshot(books, &everything, frozen);
	books->frozen_events = ml_agent_books_events(books);
	books->memory = NULL;
	if (frozen->blocks.count)
		qsort(frozen->blocks.items, frozen->blocks.count, sizeof(*frozen->blocks.items),
		      by_stack);
	if (frozen->sites.count)
		qsort(frozen->sites.items, frozen->sites.count, sizeof(*frozen->sites.items),
		      site_by_stack);
}

void ml_agent_books_forget(struct ml_agent_books *books)
{
	books->memory = NULL;
	ml_snapshot_deinit(&books->frozen);
	books->frozen = (struct ml_snapshot){0};
}

void ml_agent_books_snapshot(const struct ml_agent_books *books,
			     const struct ml_snapshot_filter *filter, struct ml_snapshot *out)
{
	struct reading reading = {.books = books, .filter = filter, .out = out};

	add_frozen(&books->frozen, filter, out);
	if (!books->memory)
		return;

	ML_FREE_CLEANUP uint32_t *index = ml_alloc(sizeof(*index) * ML_AGENT_STACKS);

	reading.index = index;
	read_blocks(&reading);
	read_sites(&reading);
	read_counters(books, out);
}

/* ---- stacks and events ------------------------------------------------------------------------
 */

bool ml_agent_books_stack(const struct ml_agent_books *books, uint64_t id,
			  struct ml_stack_record *out)
{
	const struct ml_agent_memory *memory = books->memory;
	uint64_t number = (uint32_t)id - ML_STACK_ID_NONE;

	if (!memory || !number || number >= ML_AGENT_STACKS)
		return false;

	const struct ml_agent_stack *stack = &memory->stacks[number];
	uint32_t count = __atomic_load_n(&stack->count, __ATOMIC_ACQUIRE), first = stack->first;

	if (!count || count > ML_STACK_DEPTH || first > ML_AGENT_WORDS - count)
		return false;
	*out = (struct ml_stack_record){.count = count, .end = stack->end, .tgid = memory->tgid};
	memcpy(out->ip, memory->words + first, count * sizeof(*out->ip));
	return true;
}

void ml_agent_books_each_stack(const struct ml_agent_books *books,
			       void (*visit)(void *context, uint64_t id), void *context)
{
	const struct ml_agent_memory *memory = books->memory;
	size_t offset = offsetof(struct ml_agent_memory, stacks);
	struct extent part = {.end = offset};

	while (memory && next_extent(books, &part, offset + sizeof(memory->stacks))) {
		size_t first, end;

		items_in(&part, offset, sizeof(memory->stacks[0]), &first, &end);
		for (size_t i = first; i < end; i++)
			if (memory->stacks[i].hash)
				visit(context, id_of(books, (uint32_t)i));
	}
}

bool ml_agent_books_next_map(struct ml_agent_books *books, struct ml_map_event *out)
{
	struct ml_agent_memory *memory = books->memory;

	if (!memory)
		return false;

	uint64_t tail = memory->map_event_tail;
	const struct ml_agent_map_event *event =
		&memory->map_events[tail & (ML_AGENT_MAP_EVENTS - 1)];

	if (__atomic_load_n(&event->sequence, __ATOMIC_ACQUIRE) != tail + 1)
		return false;
	*out = event->event;
	__atomic_store_n(&memory->map_event_tail, tail + 1, __ATOMIC_RELEASE);
	return true;
}

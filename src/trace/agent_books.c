/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/agent_books.h"

#include "base/file.h"
#include "shared/sample_weight.h"

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

/* Calls @visit for every thread there ever was. */
static void each_thread(const struct ml_agent_books *books,
			void (*visit)(void *context, const struct ml_agent_thread *thread),
			void *context)
{
	const struct ml_agent_memory *memory = books->memory;
	size_t offset = offsetof(struct ml_agent_memory, threads);
	struct extent part = {.end = offset};

	while (next_extent(books, &part, offset + sizeof(memory->threads))) {
		size_t first, end;

		items_in(&part, offset, sizeof(memory->threads[0]), &first, &end);
		for (size_t i = first; i < end; i++)
			if (__atomic_load_n(&memory->threads[i].pointer, __ATOMIC_RELAXED))
				visit(context, &memory->threads[i]);
	}
}

static void add_events(void *context, const struct ml_agent_thread *thread)
{
	*(uint64_t *)context += thread->events;
}

uint64_t ml_agent_books_events(const struct ml_agent_books *books)
{
	uint64_t events = books->frozen_events;

	if (books->memory)
		each_thread(books, add_events, &events);
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
	/* Lines of which there are bytes that were written, a bit each, until they are read; and
	 * how many there are in all, also as others. */
	uint64_t *lines;
	uint64_t lines_left;
	uint64_t mean_bytes; /* of samples */
	uint8_t *others; /* gets where in the filter there are blocks that are none; may be NULL */
};

/* Of a region's largest table. */
#define TABLE_LOG2_LIMIT (ML_AGENT_REGION_SHIFT - 3)

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

/* A block as it was at one moment; false while it is changing. Its stack is the mere number. */
static bool read_block(const struct ml_agent_books *books, const struct ml_agent_line *line,
		       uint32_t i, uint64_t region, struct ml_block *out)
{
	const struct ml_agent_memory *memory = books->memory;
	uint32_t key = __atomic_load_n(&line->key[i], __ATOMIC_ACQUIRE);
	uint32_t size = line->size[i], born = line->born[i];

	if (!(key & ML_AGENT_KEY_USED))
		return false;
	*out = (struct ml_block){
		.address = region | (uint64_t)(key & ML_AGENT_KEY_PLACE) << 3 | (born & 7),
		.size = size & (ML_AGENT_LARGE_BYTES - 1),
		.stack = (key & (ML_AGENT_KEY_SAMPLED - 1)) >> ML_AGENT_KEY_STACK,
		.is_sample = key & ML_AGENT_KEY_SAMPLED,
		.born_ns = memory->start_ns +
			   ((uint64_t)(born >> ML_AGENT_BORN_SHIFT) << ML_AGENT_TICK_SHIFT),
		.pid = books->pid,
	};
	if (size & ML_AGENT_SIZE_LARGE) {
		const struct ml_agent_large *large = &memory->large[size & (ML_AGENT_LARGE - 1)];

		out->size = large->size - 1;
		out->stack = large->stack;
		out->tid = (pid_t)large->tid;
	} else {
		out->tid = (pid_t)memory->tids[size >> ML_AGENT_SIZE_TID];
	}
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return __atomic_load_n(&line->key[i], __ATOMIC_RELAXED) == key &&
	       out->stack < ML_AGENT_STACKS;
}

static uint64_t whole(uint64_t count)
{
	return (count + (1u << (ML_SAMPLE_COUNT_SHIFT - 1))) >> ML_SAMPLE_COUNT_SHIFT;
}

/* What a block counts for, in units of 2^-16: one that was sampled stands for others, too. */
static uint64_t count_of(const struct ml_block *block, uint64_t mean)
{
	return block->is_sample && mean ? ml_sample_count(block->size, mean)
					: 1u << ML_SAMPLE_COUNT_SHIFT;
}

static uint64_t bytes_of(const struct ml_block *block, uint64_t mean)
{
	return block->is_sample && mean ? ml_sample_bytes(block->size, mean) : block->size;
}

/* Counts a block in its cohort and shows it when it is old enough, in units of 2^-16. */
static void show_block(const struct ml_snapshot_filter *filter, struct ml_site_books *site,
		       const struct ml_block *block, uint64_t mean, struct ml_snapshot *out)
{
	uint64_t bytes = bytes_of(block, mean), count = count_of(block, mean);

	ml_snapshot_add_cohort(out, site, filter, block->born_ns, bytes, whole(count));
	ml_snapshot_show_block(out, site, filter, block, bytes, count);
}

static void book_block(struct reading *reading, struct ml_block *block)
{
	uint64_t mean = reading->mean_bytes;
	struct ml_site_books *site = site_of(reading, (uint32_t)block->stack);

	block->stack = site->stack;
	if (reading->others && !block->is_sample)
		reading->others[ml_agent_filter_index(block->address)] = 1;
	ml_site_books_add(site, block->born_ns, bytes_of(block, mean), count_of(block, mean));
	show_block(reading->filter, site, block, mean, reading->out);
}

static void find_lines(struct reading *reading)
{
	const struct ml_agent_memory *memory = reading->books->memory;
	size_t offset = sizeof(*memory), size = sizeof(memory->lines[0]);
	struct extent part = {.end = offset};

	while (next_extent(reading->books, &part, offset + reading->lines_left * size)) {
		size_t first, end;

		items_in(&part, offset, size, &first, &end);
		for (size_t i = first; i < end; i++)
			reading->lines[i / 64] |= 1ull << (i % 64);
	}
}

/* False when there are no such lines, or more than there can be: no two tables share any, but those
 * that the target has written itself may, and it could have us read for ever. */
static bool read_table(struct reading *reading, uint32_t table, uint64_t region)
{
	const struct ml_agent_books *books = reading->books;
	uint64_t first = ML_AGENT_TABLE_FIRST(table), lines = 1u << ML_AGENT_TABLE_LOG2(table);
	struct ml_block block;

	if (first + lines > books->lines || lines > reading->lines_left)
		return false;
	reading->lines_left -= lines;
	for (uint64_t i = first; i < first + lines; i++) {
		if (!(reading->lines[i / 64] >> (i % 64) & 1))
			continue;
		reading->lines[i / 64] &= ~(1ull << (i % 64));
		for (uint32_t k = 0; k < ML_AGENT_LINE_BLOCKS; k++)
			if (read_block(books, &books->memory->lines[i], k, region, &block))
				book_block(reading, &block);
	}
	return true;
}

static void read_region(struct reading *reading, uint64_t cell, uint64_t region)
{
	const struct ml_agent_memory *memory = reading->books->memory;

	uint32_t table = (uint32_t)cell;

	while (table && ML_AGENT_TABLE_LOG2(table) <= TABLE_LOG2_LIMIT &&
	       read_table(reading, table, region))
		table = __atomic_load_n(&memory->lines[ML_AGENT_TABLE_FIRST(table)].more,
					__ATOMIC_ACQUIRE) &
			~ML_AGENT_LINE_SPILLED;
}

/* Living blocks first: what is freed is what was allocated minus what lives. */
static void read_blocks(struct reading *reading)
{
	const struct ml_agent_memory *memory = reading->books->memory;
	const uint64_t *cells = &memory->pages[0][0];
	size_t offset = offsetof(struct ml_agent_memory, pages);
	struct extent part = {.end = offset};

	find_lines(reading);
	while (next_extent(reading->books, &part, offset + sizeof(memory->pages))) {
		size_t first, end;

		items_in(&part, offset, sizeof(*cells), &first, &end);
		for (size_t i = first; i < end; i++) {
			uint64_t top = memory->page_tops[i / ML_AGENT_PAGE_REGIONS];
			uint64_t region = i % ML_AGENT_PAGE_REGIONS;

			read_region(reading, __atomic_load_n(&cells[i], __ATOMIC_ACQUIRE),
				    top << ML_AGENT_PAGE_SHIFT | region << ML_AGENT_REGION_SHIFT);
		}
	}
}

/* @allocs is in units of 2^-16. */
static void book_site(struct reading *reading, uint32_t stack, uint64_t allocs, uint64_t bytes)
{
	struct ml_site_books *site;

	if (!allocs || stack >= ML_AGENT_STACKS)
		return;
	site = site_of(reading, stack);
	site->allocs += allocs;
	site->alloc_bytes += bytes;
}

static void read_sites(struct reading *reading)
{
	const struct ml_agent_memory *memory = reading->books->memory;

	for (uint32_t i = 0; i <= memory->stack_count && i < ML_AGENT_STACKS; i++)
		book_site(reading, i, memory->sites[i].allocs << ML_SAMPLE_COUNT_SHIFT,
			  memory->sites[i].alloc_bytes);
	for (uint32_t i = 0; reading->mean_bytes && i <= memory->stack_count && i < ML_AGENT_STACKS;
	     i++)
		book_site(reading, i, memory->sampled[i].allocs, memory->sampled[i].alloc_bytes);
}

/* Pages of traces that are not in use are not there. */
static void read_traces_in(struct reading *reading, const struct ml_agent_trace *traces,
			   size_t count, uint32_t pages)
{
	const size_t per_page = ML_AGENT_PAGE / sizeof(*traces);
	size_t offset = (size_t)((const char *)traces - (const char *)reading->books->memory);
	struct extent part = {.end = offset};

	while (pages && next_extent(reading->books, &part, offset + count * sizeof(*traces))) {
		size_t first, end;

		items_in(&part, offset, sizeof(*traces), &first, &end);
		for (size_t i = first; i < end; i++)
			if (pages >> (i / per_page) & 1)
				book_site(reading, traces[i].stack,
					  traces[i].allocs << ML_SAMPLE_COUNT_SHIFT,
					  traces[i].alloc_bytes);
	}
}

/* What a thread counted in its traces. */
static void read_traces(void *context, const struct ml_agent_thread *thread)
{
	struct reading *reading = context;
	const struct ml_agent_memory *memory = reading->books->memory;
	const struct ml_agent_memo *memo = &memory->memos[thread - memory->threads];

	read_traces_in(reading, memo->traces, ML_AGENT_TRACES, thread->trace_pages);
	read_traces_in(reading, memo->python_traces, ML_AGENT_PYTHON_WALKS, thread->python_pages);
}

static void finish_site(const struct reading *reading, struct ml_site_books *site)
{
	struct ml_snapshot *out = reading->out;

	/* A trace's books may have been on their way to its site. */
	if (site->allocs < site->live_count)
		site->allocs = site->live_count;
	if (site->alloc_bytes < site->live_bytes)
		site->alloc_bytes = site->live_bytes;
	site->allocs = whole(site->allocs);
	site->live_count = whole(site->live_count);
	site->shown_count = whole(site->shown_count);
	site->frees = site->allocs - site->live_count;
	site->free_bytes = site->alloc_bytes - site->live_bytes;
	out->allocs += site->allocs;
	out->frees += site->frees;
}

static void add_untracked(void *context, const struct ml_agent_thread *thread)
{
	*(uint64_t *)context += thread->untracked_frees;
}

static void read_counters(const struct ml_agent_books *books, struct ml_snapshot *out)
{
	const struct ml_agent_memory *memory = books->memory;

	for (size_t i = 0; i < ML_COUNTER_COUNT; i++)
		out->counters[i] += memory->counters[i];
	out->untracked_frees += memory->counters[ML_SLOT_UNTRACKED_FREES];
	each_thread(books, add_untracked, &out->untracked_frees);
}

/* ---- books of those that ended ----------------------------------------------------------------
 */

static void add_frozen(const struct ml_agent_books *books, const struct ml_snapshot_filter *filter,
		       struct ml_snapshot *out)
{
	const struct ml_snapshot *frozen = &books->frozen;
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
			show_block(filter, &out->sites.items[i], &frozen->blocks.items[at],
				   books->frozen_mean, out);
	for (size_t i = first; i < out->sites.count; i++)
		out->sites.items[i].shown_count = whole(out->sites.items[i].shown_count);
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
	ml_agent_books_snapshot(books, &everything, NULL, frozen);
	books->frozen_events = ml_agent_books_events(books);
	books->frozen_mean = books->memory->config.sample_bytes;
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
			     const struct ml_snapshot_filter *filter, uint8_t *others,
			     struct ml_snapshot *out)
{
	struct reading reading = {.books = books, .filter = filter, .others = others, .out = out};

	add_frozen(books, filter, out);
	if (!books->memory)
		return;

	size_t first = out->sites.count;

	ML_FREE_CLEANUP uint32_t *index = ml_alloc(sizeof(*index) * ML_AGENT_STACKS);
	ML_FREE_CLEANUP uint64_t *lines = ml_alloc(books->lines / 8 + sizeof(*lines));

	reading.index = index;
	reading.lines = lines;
	reading.lines_left = books->lines;
	reading.mean_bytes = books->memory->config.sample_bytes;
	read_blocks(&reading);
	read_sites(&reading);
	each_thread(books, read_traces, &reading);
	for (size_t i = first; i < out->sites.count; i++)
		finish_site(&reading, &out->sites.items[i]);
	read_counters(books, out);
}

/* ---- stacks and events ------------------------------------------------------------------------
 */

/* As many words as a stack may have: the native one's number and Python's functions. */
#define STACK_WORDS (1 + 2 * ML_PYTHON_DEPTH)

_Static_assert(STACK_WORDS >= ML_STACK_DEPTH, "either kind of stack");

/* The words of stack @number, its own and those it shares with others, in @words[STACK_WORDS]; how
 * many, 0 when they cannot be. */
static uint32_t read_words(const struct ml_agent_memory *memory, uint64_t number, uint64_t *words,
			   uint32_t *end)
{
	uint32_t count = 0, skip = 0, n = 0;

	while (number && number < ML_AGENT_STACKS) {
		const struct ml_agent_stack stack = memory->stacks[number];

		/* What is checked is what is used, whatever the target writes meanwhile. */
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (!count) {
			count = stack.count;
			*end = stack.end;
		} else if (skip >= stack.own) {
			/* Only the first may have none of its own: the target cannot lead us in
			 * circles. */
			return 0;
		}
		if (count > STACK_WORDS || stack.first > ML_AGENT_WORDS ||
		    stack.own > ML_AGENT_WORDS - stack.first)
			return 0;
		while (skip < stack.own && n < count)
			words[n++] = memory->words[stack.first + skip++];
		if (n == count)
			return count;
		number = stack.outer;
		skip = stack.skip;
	}
	return 0;
}

bool ml_agent_books_stack(const struct ml_agent_books *books, uint64_t id,
			  struct ml_stack_record *out, struct ml_python_record *python)
{
	const struct ml_agent_memory *memory = books->memory;
	uint64_t number = (uint32_t)id - ML_STACK_ID_NONE, words[STACK_WORDS];
	uint32_t count, end = 0;

	if (python)
		python->frame[0].code = 0;
	if (!memory)
		return false;
	count = read_words(memory, number, words, &end);
	if (count && end & ML_AGENT_STACK_PYTHON) {
		uint32_t frames = (count - 1) / 2;

		if (python && frames <= ML_PYTHON_DEPTH) {
			memcpy(python->frame, words + 1, frames * sizeof(python->frame[0]));
			if (frames < ML_PYTHON_DEPTH)
				python->frame[frames].code = 0;
		}
		count = read_words(memory, words[0], words, &end);
	}
	if (!count || count > ML_STACK_DEPTH)
		return false;
	*out = (struct ml_stack_record){
		.count = count, .end = ML_AGENT_STACK_END(end), .tgid = (uint32_t)books->pid};
	memcpy(out->ip, words, count * sizeof(*out->ip));
	return true;
}

void ml_agent_books_each_stack(const struct ml_agent_books *books,
			       void (*visit)(void *context, uint64_t id), void *context)
{
	const struct ml_agent_memory *memory = books->memory;

	for (uint32_t i = 1; memory && i <= memory->stack_count && i < ML_AGENT_STACKS; i++)
		if (memory->stacks[i].count)
			visit(context, id_of(books, i));
}

bool ml_agent_books_next_stack(const struct ml_agent_books *books, uint32_t *seen, uint64_t *id)
{
	const struct ml_agent_memory *memory = books->memory;
	uint32_t next = *seen + 1;

	if (!memory || next > memory->stack_count || next >= ML_AGENT_STACKS ||
	    !memory->stacks[next].count)
		return false;
	*seen = next;
	*id = id_of(books, next);
	return true;
}

bool ml_agent_books_next_map(struct ml_agent_books *books, struct ml_map_event *out)
{
	struct ml_agent_memory *memory = books->memory;

	if (!memory)
		return false;

	uint64_t tail = books->map_tail;
	const struct ml_agent_map_event *event =
		&memory->map_events[tail & (ML_AGENT_MAP_EVENTS - 1)];

	if (__atomic_load_n(&event->sequence, __ATOMIC_ACQUIRE) != tail + 1)
		return false;
	*out = event->event;
	__atomic_store_n(&memory->map_event_tail, ++books->map_tail, __ATOMIC_RELEASE);
	out->tgid = (uint32_t)books->pid;
	if (out->stack)
		out->stack = id_of(books, out->stack <= ML_AGENT_STACKS
						  ? (uint32_t)(out->stack - ML_STACK_ID_NONE)
						  : 0);
	return true;
}

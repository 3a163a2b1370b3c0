/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/map_books.h"

#include "base/array.h"
#include "base/u64map.h"

#include <stdlib.h>
#include <string.h>

#define PAGE_BYTES 4096u

/* A process may map and unmap all day between two reports: so many events do not wait for one. */
#define WAITING_LIMIT 65536
/* More than processes have mappings (vm.max_map_count is 65 530 unless raised): one that unmaps by
 * system calls of its own, which are not seen, seems to have ever more. */
#define RANGES_LIMIT 262144

/* A piece of a mapping that is still there. */
struct range {
	uint64_t start, end; /* end as asked for, not rounded to a page */
	uint64_t stack;      /* 0: the C library's own, only to know it when it goes */
	uint64_t born_ns;
	pid_t pid, tid;
};

/* What was ever mapped from one stack. */
struct flow {
	uint64_t stack;
	pid_t pid;
	uint64_t allocs, frees, alloc_bytes, free_bytes;
};

struct ml_map_books {
	ML_ARRAY(struct ml_map_event) waiting;
	ML_ARRAY(struct range) ranges; /* sorted by (pid, start), no overlaps within a pid */
	ML_ARRAY(struct flow) flows;
	struct ml_u64map flow_index; /* stack id → index in flows */
	uint64_t untracked;          /* munmaps of memory we did not see mapped */
	uint64_t lost;               /* mappings beyond the limit */
};

struct ml_map_books *ml_map_books_create(void)
{
	return ml_alloc(sizeof(struct ml_map_books));
}

void ml_map_books_destroy(struct ml_map_books *books)
{
	if (!books)
		return;
	ml_array_free(&books->waiting);
	ml_array_free(&books->ranges);
	ml_array_free(&books->flows);
	ml_u64map_free(&books->flow_index);
	free(books);
}

void ml_map_books_add(struct ml_map_books *books, const struct ml_map_event *event)
{
	if (books->waiting.count == WAITING_LIMIT)
		ml_map_books_settle(books);
	*ml_array_push(&books->waiting) = *event;
}

static struct flow *flow_of(struct ml_map_books *books, uint64_t stack, pid_t pid)
{
	bool is_new;
	uint64_t *index = ml_u64map_put(&books->flow_index, stack, &is_new);

	if (is_new) {
		*index = books->flows.count;
		*ml_array_push(&books->flows) = (struct flow){.stack = stack, .pid = pid};
	}
	return &books->flows.items[*index];
}

/* Index of the first range of @pid that ends behind @start, or where it would stand. */
static size_t first_at(const struct ml_map_books *books, pid_t pid, uint64_t start)
{
	size_t low = 0, high = books->ranges.count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct range *range = &books->ranges.items[middle];

		if (range->pid < pid || (range->pid == pid && range->end <= start))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void insert_at(struct ml_map_books *books, size_t index, struct range range)
{
	ml_array_push(&books->ranges);
	memmove(&books->ranges.items[index + 1], &books->ranges.items[index],
		(books->ranges.count - 1 - index) * sizeof(range));
	books->ranges.items[index] = range;
}

static void remove_at(struct ml_map_books *books, size_t index)
{
	books->ranges.count--;
	memmove(&books->ranges.items[index], &books->ranges.items[index + 1],
		(books->ranges.count - index) * sizeof(struct range));
}

/* Books that [start, end) of @range is gone; the whole of it is one free. */
static void book_gone(struct ml_map_books *books, const struct range *range, uint64_t start,
		      uint64_t end)
{
	struct flow *flow;

	if (!range->stack)
		return;
	flow = flow_of(books, range->stack, range->pid);
	flow->free_bytes += end - start;
	if (start == range->start && end == range->end)
		flow->frees++;
}

/* Takes [start, end) of @pid out of the ranges; false when there was nothing. */
static bool take_range(struct ml_map_books *books, pid_t pid, uint64_t start, uint64_t end)
{
	size_t i = first_at(books, pid, start);
	bool taken = false;

	while (i < books->ranges.count) {
		struct range range = books->ranges.items[i];

		if (range.pid != pid || range.start >= end)
			break;

		uint64_t from = range.start > start ? range.start : start;
		uint64_t to = range.end < end ? range.end : end;

		taken = true;
		book_gone(books, &range, from, to);
		remove_at(books, i);
		if (range.start < from) {
			struct range head = range;

			head.end = from;
			insert_at(books, i++, head);
		}
		if (to < range.end) {
			struct range tail = range;

			tail.start = to;
			insert_at(books, i++, tail);
		}
	}
	return taken;
}

static uint64_t page_up(uint64_t bytes)
{
	return (bytes + PAGE_BYTES - 1) & ~(uint64_t)(PAGE_BYTES - 1);
}

static void add_range(struct ml_map_books *books, const struct ml_map_event *event, uint64_t stack)
{
	struct range range = {
		.start = event->address,
		.end = event->address + event->length,
		.stack = stack,
		.born_ns = event->time_ns,
		.pid = (pid_t)event->tgid,
		.tid = (pid_t)event->tid,
	};

	if (books->ranges.count >= RANGES_LIMIT) {
		books->lost++;
		return;
	}
	if (stack) {
		struct flow *flow = flow_of(books, stack, range.pid);

		flow->allocs++;
		flow->alloc_bytes += event->length;
	}
	insert_at(books, first_at(books, range.pid, range.start), range);
}

static void apply(struct ml_map_books *books, const struct ml_map_event *event)
{
	pid_t pid = (pid_t)event->tgid;
	bool taken = false;

	switch (event->role) {
	case ML_ROLE_MUNMAP:
		if (!take_range(books, pid, event->address,
				event->address + page_up(event->length)) &&
		    !event->is_library)
			books->untracked++;
		return;
	case ML_ROLE_MREMAP:
		taken = take_range(books, pid, event->old_address,
				   event->old_address + page_up(event->old_length));
		break;
	}
	/* MAP_FIXED replaces; without it nothing can be in the way but what we missed. */
	take_range(books, pid, event->address, event->address + page_up(event->length));
	/* No stack: not wanted (size filter). A grown mapping we never saw is not the program's
	 * leak. */
	if (event->length && event->stack && (event->role == ML_ROLE_MMAP || taken))
		add_range(books, event, event->is_library ? 0 : event->stack);
}

static int by_time(const void *a, const void *b)
{
	const struct ml_map_event *x = a, *y = b;

	return (x->time_ns > y->time_ns) - (x->time_ns < y->time_ns);
}

void ml_map_books_settle(struct ml_map_books *books)
{
	if (!books->waiting.count)
		return;
	qsort(books->waiting.items, books->waiting.count, sizeof(struct ml_map_event), by_time);
	ml_array_each (event, &books->waiting)
		apply(books, event);
	books->waiting.count = 0;
}

static struct ml_site_books *snapshot_site(struct ml_snapshot *snapshot, struct ml_u64map *index,
					   uint64_t stack)
{
	bool is_new;
	uint64_t *at = ml_u64map_put(index, stack, &is_new);

	if (is_new) {
		*at = snapshot->sites.count;
		*ml_array_push(&snapshot->sites) = (struct ml_site_books){.stack = stack};
	}
	return &snapshot->sites.items[*at];
}

static void add_flow(struct ml_snapshot *snapshot, struct ml_site_books *site,
		     const struct flow *flow)
{
	site->allocs += flow->allocs;
	site->frees += flow->frees;
	site->alloc_bytes += flow->alloc_bytes;
	site->free_bytes += flow->free_bytes;
	snapshot->allocs += flow->allocs;
	snapshot->frees += flow->frees;
}

static void add_live(struct ml_snapshot *snapshot, struct ml_site_books *site,
		     const struct range *range, const struct ml_snapshot_filter *filter)
{
	const struct ml_block block = {
		.address = range->start,
		.size = range->end - range->start,
		.stack = range->stack,
		.born_ns = range->born_ns,
		.pid = range->pid,
		.tid = range->tid,
	};

	ml_snapshot_add_block(snapshot, site, filter, &block, block.size, 1);
}

void ml_map_books_snapshot(const struct ml_map_books *books,
			   const struct ml_snapshot_filter *filter, struct ml_snapshot *snapshot)
{
	struct ml_u64map index = {0};

	snapshot->untracked_frees += books->untracked;
	snapshot->counters[ML_COUNTER_MAP_EVENTS_LOST] += books->lost;
	if (!books->flows.count)
		return;
	for (size_t i = 0; i < snapshot->sites.count; i++)
		*ml_u64map_put(&index, snapshot->sites.items[i].stack, NULL) = i;
	ml_array_each (flow, &books->flows)
		add_flow(snapshot, snapshot_site(snapshot, &index, flow->stack), flow);
	ml_array_each (range, &books->ranges)
		if (range->stack)
			add_live(snapshot, snapshot_site(snapshot, &index, range->stack), range,
				 filter);
	ml_u64map_free(&index);
}

void ml_map_books_forget(struct ml_map_books *books, pid_t pid)
{
	size_t kept = 0;

	ml_map_books_settle(books);
	ml_array_each (range, &books->ranges)
		if (range->pid != pid)
			books->ranges.items[kept++] = *range;
	books->ranges.count = kept;
	kept = 0;
	ml_u64map_free(&books->flow_index);
	ml_array_each (flow, &books->flows) {
		if (flow->pid == pid)
			continue;
		*ml_u64map_put(&books->flow_index, flow->stack, NULL) = kept;
		books->flows.items[kept++] = *flow;
	}
	books->flows.count = kept;
}

void ml_map_books_give(struct ml_map_books *from, pid_t pid, struct ml_map_books *to)
{
	ml_map_books_settle(from);
	ml_array_each (range, &from->ranges)
		if (range->pid == pid)
			insert_at(to, first_at(to, pid, range->start), *range);
	ml_array_each (flow, &from->flows) {
		if (flow->pid != pid)
			continue;

		struct flow *other = flow_of(to, flow->stack, pid);

		other->allocs += flow->allocs;
		other->frees += flow->frees;
		other->alloc_bytes += flow->alloc_bytes;
		other->free_bytes += flow->free_bytes;
	}
	ml_map_books_forget(from, pid);
}

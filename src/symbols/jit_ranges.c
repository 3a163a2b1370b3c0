/* SPDX-License-Identifier: BSD-2-Clause */
#include "symbols/jit_ranges.h"

#include <stdbool.h>

struct cover {
	const struct ml_jit_entries *entries;
	struct ml_jit_ranges *out;
	ML_ARRAY(uint32_t) heap; /**< entries that hold the current address, the latest on top */
};

static int compare_entries(const void *left, const void *right)
{
	const struct ml_jit_entry *a = left, *b = right;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	return (a->order > b->order) - (a->order < b->order);
}

static bool is_later(const struct cover *cover, uint32_t a, uint32_t b)
{
	return cover->entries->items[a].order > cover->entries->items[b].order;
}

static void heap_push(struct cover *cover, uint32_t entry)
{
	size_t at = cover->heap.count;

	*ml_array_push(&cover->heap) = entry;

	uint32_t *heap = cover->heap.items;

	for (; at > 0 && is_later(cover, entry, heap[(at - 1) / 2]); at = (at - 1) / 2)
		heap[at] = heap[(at - 1) / 2];
	heap[at] = entry;
}

static void heap_pop(struct cover *cover)
{
	uint32_t *heap = cover->heap.items;
	size_t count = --cover->heap.count, at = 0, child;
	uint32_t last = heap[count];

	for (; (child = 2 * at + 1) < count; at = child) {
		if (child + 1 < count && is_later(cover, heap[child + 1], heap[child]))
			child++;
		if (!is_later(cover, heap[child], last))
			break;
		heap[at] = heap[child];
	}
	heap[at] = last;
}

static void add_range(struct ml_jit_ranges *out, const struct ml_jit_entry *entry, uint64_t start,
		      uint64_t end)
{
	if (start >= end)
		return;
	*ml_array_push(out) = (struct ml_jit_range){
		.start = start,
		.end = end,
		.code_start = entry->start,
		.name = entry->name,
	};
}

/* Gives [@p from, @p to) to the entries in the heap. */
static void cover_up_to(struct cover *cover, uint64_t from, uint64_t to)
{
	while (from < to && cover->heap.count > 0) {
		const struct ml_jit_entry *top = &cover->entries->items[cover->heap.items[0]];
		uint64_t end = top->end < to ? top->end : to;

		add_range(cover->out, top, from, end);
		if (end > from)
			from = end;
		if (top->end <= to)
			heap_pop(cover);
	}
}

void ml_jit_ranges_build(struct ml_jit_ranges *out, struct ml_jit_entries *entries)
{
	struct cover cover = {.entries = entries, .out = out};
	uint64_t from = 0;

	out->count = 0;
	if (entries->count > 0)
		qsort(entries->items, entries->count, sizeof(*entries->items), compare_entries);
	for (uint32_t i = 0; i < entries->count; i++) {
		cover_up_to(&cover, from, entries->items[i].start);
		from = entries->items[i].start;
		heap_push(&cover, i);
	}
	cover_up_to(&cover, from, UINT64_MAX);
	ml_array_free(&cover.heap);
}

const struct ml_jit_range *ml_jit_ranges_find(const struct ml_jit_ranges *ranges, uint64_t ip)
{
	size_t low = ml_sorted_up_to(ranges->items, ranges->count, start, ip);

	if (low == 0 || ip >= ranges->items[low - 1].end)
		return NULL;
	return &ranges->items[low - 1];
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "heap/dead.h"

#include <stdbool.h>
#include <stdlib.h>

#define PAGE 4096ull
/* HEAP_MAX_SIZE (malloc/arena.c): the heaps of arenas lie at multiples of it. */
#define HEAP_MAX (64ull << 20)
/* More than sizeof(heap_info), which the arena follows in its first heap. */
#define HEAP_HEAD_MAX 128u
/* Beyond this a mapping is none of an allocator's heaps. */
#define MAPPING_MAX (256ull << 30)

/* Of the loader's data, what holds struct rtld_global. */
#define DATA_MAX (1ull << 20)
/* More than sizeof(struct pthread), and than what lies above it on a thread's stack. */
#define PTHREAD_MAX (4 * PAGE)
#define STACKS_MAX  4096u

/* The first words of heap_info. */
struct heap {
	uint64_t arena, previous, size, usable_size;
};

/* list_t (nptl/list_t.h). */
struct link {
	uint64_t next, previous;
};

static bool read_heap(const struct ml_process *process, uint64_t address, struct heap *heap)
{
	return ml_process_read(process, address, heap, sizeof(*heap)) && heap->size &&
	       heap->size % PAGE == 0 && heap->size <= heap->usable_size &&
	       heap->usable_size <= HEAP_MAX && heap->previous % HEAP_MAX == 0;
}

/* The size of the heap at @address, 0 when there is none. */
static uint64_t heap_size(const struct ml_process *process, uint64_t address)
{
	struct heap heap, first;
	uint64_t start;

	if (!read_heap(process, address, &heap))
		return 0;
	start = heap.arena / HEAP_MAX * HEAP_MAX;
	if (heap.arena - start < sizeof(heap) || heap.arena - start > HEAP_HEAD_MAX ||
	    (start == address) != !heap.previous)
		return 0;
	return start == address || (read_heap(process, start, &first) &&
				    first.arena == heap.arena && !first.previous)
		       ? heap.size
		       : 0;
}

static void add(ml_dead_ranges *ranges, uint64_t start, uint64_t end)
{
	if (start < end)
		*ml_array_push(ranges) = (struct ml_dead_range){start, end};
}

static void find_heaps(const struct ml_process *process, const struct ml_mapping *mapping,
		       ml_dead_ranges *ranges)
{
	uint64_t address = (mapping->start + HEAP_MAX - 1) / HEAP_MAX * HEAP_MAX;

	if (mapping->path[0] || !mapping->is_writable || mapping->is_shared ||
	    mapping->end - mapping->start > MAPPING_MAX)
		return;
	for (; address < mapping->end; address += HEAP_MAX) {
		uint64_t size = heap_size(process, address);

		if (size <= mapping->end - address)
			add(ranges, address, address + size);
	}
}

/* Whether @link, which lies at @address, is one of a list. */
static bool is_link(const struct ml_process *process, uint64_t address, struct link link)
{
	uint64_t back, forth;

	return ml_process_read(process, link.next + 8, &back, sizeof(back)) && back == address &&
	       ml_process_read(process, link.previous, &forth, sizeof(forth)) && forth == address;
}

/*
 * Three lists of struct pthread one behind the other, in struct rtld_global since glibc 2.34
 * (sysdeps/generic/ldsodefs.h) and among a static program's variables: in the middle that of stacks
 * which others made, where the main thread was the first; before and behind it, in either order,
 * those of stacks that glibc made, used and unused. Returns the address of the first, 0 for none.
 */
static uint64_t find_lists(const struct ml_process *process, const struct ml_mapping *mapping,
			   uint64_t thread_pointer, uint64_t *main_link)
{
	uint64_t size = mapping->end - mapping->start, found = 0;
	uint64_t *words;

	if (!mapping->is_writable || mapping->is_shared || size > DATA_MAX)
		return 0;
	words = ml_alloc(size);
	if (ml_process_read(process, mapping->start, words, size))
		for (uint64_t i = 0; i + 6 <= size / sizeof(*words) && !found; i++) {
			const struct link *links = (const void *)&words[i];
			uint64_t address = mapping->start + i * sizeof(*words);

			if (links[1].previous > thread_pointer &&
			    links[1].previous - thread_pointer < PTHREAD_MAX &&
			    is_link(process, address, links[0]) &&
			    is_link(process, address + 16, links[1]) &&
			    is_link(process, address + 32, links[2])) {
				*main_link = links[1].previous;
				found = address;
			}
		}
	free(words);
	return found;
}

/*
 * Of the stack whose struct pthread is at @pthread all but the first two words, which lead to the
 * thread's dynamic variables: these are kept, too, for the next thread. Where the stack lies stands
 * in its members stackblock and stackblock_size, @from bytes or more behind. Returns the size.
 */
static uint64_t add_stack(const struct ml_process *process, uint64_t pthread, uint64_t from,
			  ml_dead_ranges *ranges)
{
	uint64_t words[2];

	for (uint64_t at = pthread + from; at < pthread + PTHREAD_MAX; at += 8) {
		if (!ml_process_read(process, at, words, sizeof(words)))
			return 0;
		if (words[0] % PAGE || words[1] % PAGE || words[0] >= pthread ||
		    words[1] <= pthread - words[0] || words[1] - (pthread - words[0]) > PTHREAD_MAX)
			continue;
		add(ranges, words[0], pthread);
		add(ranges, pthread + 16, words[0] + words[1]);
		return words[1];
	}
	return 0;
}

/* Adds the stacks of the list at @list when it is the one of unused ones: beside that one stands
 * how large they are together. @offset is where in a struct pthread its link is. */
static void add_unused(const struct ml_process *process, uint64_t list, uint64_t offset,
		       ml_dead_ranges *ranges)
{
	size_t before = ranges->count;
	uint64_t total = 0, behind, ahead;
	struct link link = {.next = list};

	for (unsigned int i = 0; i < STACKS_MAX; i++) {
		if (!ml_process_read(process, link.next, &link, sizeof(link)) || link.next == list)
			break;
		total += add_stack(process, link.next - offset, offset, ranges);
	}
	if (!(ml_process_read(process, list + sizeof(link), &behind, sizeof(behind)) &&
	      behind == total) &&
	    !(ml_process_read(process, list - sizeof(link), &ahead, sizeof(ahead)) &&
	      ahead == total))
		ranges->count = before;
}

static void find_stacks(const struct ml_process *process, const struct ml_maps *maps,
			uint64_t thread_pointer, ml_dead_ranges *ranges)
{
	uint64_t lists = 0, main_link = 0;

	for (size_t i = 0; i < maps->list.count && !lists && thread_pointer; i++)
		lists = find_lists(process, &maps->list.items[i], thread_pointer, &main_link);
	if (!lists)
		return;
	add_unused(process, lists + 2 * sizeof(struct link), main_link - thread_pointer, ranges);
	add_unused(process, lists, main_link - thread_pointer, ranges);
}

static int compare(const void *left, const void *right)
{
	const struct ml_dead_range *a = left, *b = right;

	return ml_compare_u64(a->start, b->start);
}

void ml_dead_ranges_find(const struct ml_process *process, const struct ml_maps *maps,
			 uint64_t thread_pointer, ml_dead_ranges *ranges)
{
	ml_array_each (mapping, &maps->list)
		find_heaps(process, mapping, ranges);
	find_stacks(process, maps, thread_pointer, ranges);
	if (ranges->count)
		qsort(ranges->items, ranges->count, sizeof(*ranges->items), compare);
}

size_t ml_dead_ranges_after(const ml_dead_ranges *ranges, uint64_t address)
{
	return ml_sorted_up_to(ranges->items, ranges->count, end, address);
}

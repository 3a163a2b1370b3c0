/* SPDX-License-Identifier: BSD-2-Clause */
#include "heap/reach.h"

#include "base/file.h"
#include "heap/dead.h"
#include "shared/agent_abi.h"
#include "target/maps.h"
#include "target/proc.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE 4096ull
/* Pages whose state is asked for at once, and words copied at once. */
#define PIECE_PAGES 4096u
#define PIECE_BYTES (PIECE_PAGES * PAGE)
#define COPY_WORDS  (64u * PAGE / sizeof(uint64_t))

/* Beyond this a mapping is no place for pointers but the shadow of other memory (a sanitizer's),
 * and asking for the state of its pages would take minutes. */
#define MAPPING_MAX (256ull << 30)

/* More than a static program's thread-local variables take, and than glibc's struct pthread does.
 */
#define TLS_MAX     (1ull << 20)
#define PTHREAD_MAX PAGE

/* struct _IO_FILE (libio/bits/types/struct_FILE.h): its first word, and which ones _IO_buf_base,
 * before _IO_buf_end, and _freeres_buf are. */
#define FILE_MAGIC      0xfbad0000u
#define FILE_MAGIC_MASK 0xffff0000u
#define FILE_BUFFER     7u
#define FILE_OLD_BUFFER 22u

/* Bits of /proc/PID/pagemap (Documentation/admin-guide/mm/pagemap.rst). */
#define PAGE_IS_FILES (1ull << 61) /* of a file, or shared */
#define PAGE_SWAPPED  (1ull << 62)
#define PAGE_PRESENT  (1ull << 63)

struct search {
	const struct ml_process *process;
	ml_reach_blocks *blocks;
	uint64_t low, high;       /* no block outside */
	ML_ARRAY(size_t) reached; /* blocks whose words are still to be looked at */
	ml_dead_ranges dead;      /* no pointers but in blocks */
	int pagemap_fd;           /* -1: every page is looked at */
	bool in_libc;             /* the words are the C library's variables */
	bool is_static;           /* the program has no C library beside it */
	uint64_t variables_end;   /* in the main heap: behind the last of the program's variables */
	uint64_t words[COPY_WORDS];
	uint64_t pages[PIECE_PAGES];
};

static int compare_blocks(const void *left, const void *right)
{
	const struct ml_reach_block *a = left, *b = right;

	return (a->address > b->address) - (a->address < b->address);
}

/* The number of blocks at or below @address. */
static size_t blocks_up_to(const struct search *search, uint64_t address)
{
	return ml_sorted_up_to(search->blocks->items, search->blocks->count, address, address);
}

/* Where a block ends; malloc(0) has one byte, too. */
static uint64_t end_of(const struct ml_reach_block *block)
{
	uint64_t size = block->size ? block->size : 1;

	return size > UINT64_MAX - block->address ? UINT64_MAX : block->address + size;
}

/*
 * glibc's arenas point to free chunks and to the top, each by its header, whose first word is the
 * last one of the block before it (malloc/malloc.c, "struct malloc_chunk").
 */
static bool is_chunk_behind(const struct ml_reach_block *block, uint64_t word)
{
	uint64_t chunk_bytes = (block->size + sizeof(uint64_t) + 15) & ~15ull;

	if (chunk_bytes < 32) /* MINSIZE */
		chunk_bytes = 32;
	return word == block->address - 16 + chunk_bytes;
}

/* Whether the words from @file on are those of a glibc FILE that has its buffer in @block. */
static bool has_buffer(const uint64_t *file, const struct ml_reach_block *block)
{
	uint64_t base = file[FILE_BUFFER], end = file[FILE_BUFFER + 1];

	if ((*file & FILE_MAGIC_MASK) != FILE_MAGIC)
		return false;
	/* exit() puts the buffers aside, and has the files go on with a byte of their own. */
	return (base == block->address && end == end_of(block)) ||
	       (end == base + 1 && file[FILE_OLD_BUFFER] == block->address);
}

/*
 * Whether word @i is one of those of a glibc FILE that point into its buffer, @block: what nobody
 * has written of that yet is full of old pointers, and the rest is text.
 */
static bool is_file_buffer(const uint64_t *words, size_t i, size_t count,
			   const struct ml_reach_block *block)
{
	for (size_t k = 1; k <= FILE_OLD_BUFFER && k <= i; k++)
		if (i - k + FILE_OLD_BUFFER < count && has_buffer(&words[i - k], block))
			return true;
	return false;
}

/* Takes word @i of @count for a pointer. */
static void follow(struct search *search, const uint64_t *words, size_t i, size_t count)
{
	uint64_t word = words[i];

	if (word < search->low || word >= search->high)
		return;

	size_t index = blocks_up_to(search, word);
	struct ml_reach_block *block = index ? &search->blocks->items[index - 1] : NULL;

	if (!block || block->is_reached || word >= end_of(block) ||
	    (search->in_libc && is_chunk_behind(block, word)))
		return;
	block->is_reached = true;
	if (!is_file_buffer(words, i, count, block))
		*ml_array_push(&search->reached) = index - 1;
}

/* Which of the @count pages from @address on are worth a look; @is_private: those of a file are
 * as in the file, which has no pointers. */
static void look_at_pages(struct search *search, uint64_t address, size_t count, bool is_private)
{
	ssize_t size = (ssize_t)(count * sizeof(uint64_t));

	if (search->pagemap_fd < 0 || pread(search->pagemap_fd, search->pages, (size_t)size,
					    (off_t)(address / PAGE * sizeof(uint64_t))) != size) {
		for (size_t i = 0; i < count; i++)
			search->pages[i] = PAGE_PRESENT;
	} else if (is_private) {
		for (size_t i = 0; i < count; i++)
			search->pages[i] = search->pages[i] & PAGE_IS_FILES ? 0 : search->pages[i];
	}
}

/* The words of [start, end). */
static void scan_words(struct search *search, uint64_t start, uint64_t end)
{
	while (start < end) {
		size_t count = (end - start) / sizeof(uint64_t);

		count = count < COPY_WORDS ? count : COPY_WORDS;
		if (!count)
			return;
		if (ml_process_read(search->process, start, search->words,
				    count * sizeof(uint64_t)))
			for (size_t i = 0; i < count; i++)
				follow(search, search->words, i, count);
		start += count * sizeof(uint64_t);
	}
}

/* All pages of [start, end) that hold something of the process's own. */
static void scan(struct search *search, uint64_t start, uint64_t end, bool is_private)
{
	start = (start + 7) & ~7ull;
	end &= ~7ull;
	while (start < end) {
		uint64_t first = start & ~(PAGE - 1);
		uint64_t piece_end = end - first > PIECE_BYTES ? first + PIECE_BYTES : end;
		size_t count = (piece_end - first + PAGE - 1) / PAGE;

		look_at_pages(search, first, count, is_private);
		for (size_t i = 0, next; i < count; i = next) {
			bool is_there = search->pages[i] & (PAGE_PRESENT | PAGE_SWAPPED);
			uint64_t from = first + i * PAGE, to;

			/* The pages behind it of the same kind at once. */
			for (next = i + 1; next < count; next++)
				if (!(search->pages[next] & (PAGE_PRESENT | PAGE_SWAPPED)) ==
				    is_there)
					break;
			to = first + next * PAGE;
			if (is_there)
				scan_words(search, from > start ? from : start,
					   to < piece_end ? to : piece_end);
		}
		start = piece_end;
	}
}

/*
 * The program's variables may border on the main heap, and a static glibc takes the main thread's
 * variables from it (csu/libc-tls.c), with struct pthread behind them.
 */
static uint64_t find_variables_end(pid_t pid, uint64_t thread_pointer)
{
	struct ml_proc_stat stat;

	if (!ml_proc_stat_read(pid, &stat) || !stat.heap_start)
		return UINT64_MAX;
	if (thread_pointer >= stat.heap_start && thread_pointer - stat.heap_start < TLS_MAX)
		return thread_pointer + PTHREAD_MAX;
	return stat.heap_start;
}

/* The same without what is known to be dead. */
static void scan_live(struct search *search, uint64_t start, uint64_t end, bool is_private)
{
	for (size_t i = ml_dead_ranges_after(&search->dead, start);
	     i < search->dead.count && start < end; i++) {
		const struct ml_dead_range *range = &search->dead.items[i];

		if (range->start >= end)
			break;
		if (range->start > start)
			scan(search, start, range->start, is_private);
		start = range->end > start ? range->end : start;
	}
	if (start < end)
		scan(search, start, end, is_private);
}

/*
 * The roots in [start, end): what lies between blocks. In the main heap only variables before the
 * first one: the rest is freed memory, which is full of old pointers. So are glibc's other heaps;
 * other allocators' memory cannot be told from variables beside it, since Linux merges neighbouring
 * mappings.
 */
static void scan_roots(struct search *search, uint64_t start, uint64_t end, bool is_heap,
		       bool is_private)
{
	size_t next = blocks_up_to(search, start);

	if (next && end_of(&search->blocks->items[next - 1]) > start)
		start = end_of(&search->blocks->items[next - 1]);
	for (; start < end; next++) {
		const struct ml_reach_block *block =
			next < search->blocks->count ? &search->blocks->items[next] : NULL;
		uint64_t until = block && block->address < end ? block->address : end;

		if (is_heap && block && until > search->variables_end)
			until = search->variables_end;
		if (until > start)
			scan_live(search, start, until, is_private);
		if (until == end || is_heap)
			return;
		start = end_of(block) > start ? end_of(block) : start;
	}
}

/* The agent's books are full of addresses. */
static bool is_agents(const struct search *search, const struct ml_mapping *mapping)
{
	uint64_t magic;

	return mapping->is_shared &&
	       ml_process_read(search->process, mapping->start, &magic, sizeof(magic)) &&
	       magic == ML_AGENT_MAGIC;
}

static bool is_libc(const struct ml_mapping *mapping)
{
	return strstr(mapping->path, "/libc.so") || strstr(mapping->path, "/libc-2.") ||
	       strstr(mapping->path, "/ld-musl");
}

static bool has_libc(const struct ml_maps *maps)
{
	ml_array_each (mapping, &maps->list) {
		if (is_libc(mapping))
			return true;
	}
	return false;
}

static void scan_mapping(struct search *search, const struct ml_mapping *mapping,
			 const struct ml_reach_roots *roots)
{
	uint64_t start = mapping->start;

	if (!mapping->is_readable || mapping->end - start > MAPPING_MAX ||
	    (mapping->is_executable && !mapping->is_writable) || !strcmp(mapping->path, "[vvar]") ||
	    !strcmp(mapping->path, "[vvar_vclock]") || !strcmp(mapping->path, "[vsyscall]") ||
	    is_agents(search, mapping))
		return;
	if (roots->stack_pointer > start && roots->stack_pointer < mapping->end)
		start = roots->stack_pointer;
	search->in_libc = is_libc(mapping) || (search->is_static && mapping->path[0] == '/');
	scan_roots(search, start, mapping->end, !strcmp(mapping->path, "[heap]"),
		   !mapping->is_shared);
}

static void follow_blocks(struct search *search)
{
	search->in_libc = false;
	while (search->reached.count) {
		size_t index = search->reached.items[--search->reached.count];
		const struct ml_reach_block *block = &search->blocks->items[index];

		scan(search, block->address, end_of(block), false);
	}
}

static int open_pagemap(const struct ml_process *process)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/pagemap", (int)ml_process_pid(process));
	return open(path, O_RDONLY | O_CLOEXEC);
}

struct ml_error *ml_reach_mark(const struct ml_process *process, const struct ml_reach_roots *roots,
			       ml_reach_blocks *blocks)
{
	struct ml_maps maps = {0};
	struct ml_error *error;

	if (!blocks->count)
		return NULL;
	error = ml_process_maps(process, &maps);
	if (error)
		return error;
	qsort(blocks->items, blocks->count, sizeof(*blocks->items), compare_blocks);

	struct search *search = ml_alloc(sizeof(*search));

	search->process = process;
	search->blocks = blocks;
	search->low = blocks->items[0].address;
	ml_array_each (block, blocks)
		search->high = end_of(block) > search->high ? end_of(block) : search->high;
	search->pagemap_fd = open_pagemap(process);
	search->variables_end = find_variables_end(ml_process_pid(process), roots->thread_pointer);
	search->is_static = !has_libc(&maps);
	ml_dead_ranges_find(process, &maps, roots->thread_pointer, &search->dead);
	for (size_t i = 0; i < roots->register_count; i++)
		follow(search, roots->registers, i, roots->register_count);
	ml_array_each (mapping, &maps.list)
		scan_mapping(search, mapping, roots);
	follow_blocks(search);
	ml_fd_close(&search->pagemap_fd);
	ml_array_free(&search->reached);
	ml_array_free(&search->dead);
	free(search);
	ml_maps_deinit(&maps);
	return NULL;
}

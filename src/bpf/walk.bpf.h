/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/**
 * The stack walk in the kernel: rows of the process's modules, one window of stack copied at once.
 *
 * Part of user.bpf.c, which defines the maps, struct thread_state and count() before. The walk runs
 * at an allocating function's return, so the first frame is the caller.
 *
 * Shapes the verifier forces: bpf_loop() instead of a loop (1 M instructions otherwise); searches
 * are global functions (not static), verified once whatever their arguments; an index is masked
 * right before use behind an empty asm, because clang otherwise drops a bound it can prove and the
 * verifier cannot.
 */
#define PAGE_SIZE 4096

/* Copies the stack from @address on into the window. Reading into the page behind the stack costs
 * some microseconds, so where that page is, is kept. */
static __always_inline int fill_window(struct thread_state *thread, uint64_t address)
{
	uint64_t size = thread->wall - address, page = (address | (PAGE_SIZE - 1)) + 1;

	if (!size)
		size = sizeof(thread->window);
	/* Else clang compares another number, which tells Linux 6.1 nothing of this one. */
	UNPROVABLE(size);
	if (size > sizeof(thread->window))
		size = sizeof(thread->window);
	thread->window_base = 1; /* matches no aligned address: read word by word */
	if (bpf_probe_read_user(thread->window, size, (void *)address)) {
		if (page - address < size)
			thread->wall = page;
		return 1;
	}
	thread->window_base = address;
	thread->window_bytes = size;
	return 0;
}

/* One word of the stack of @memory (a struct thread_state), from the window where it can be. The
 * value passes through an empty asm: clang would otherwise choose between the addresses of the
 * window's word and of the local one, and the verifier of Linux 6.18 fails on that ("stack slot 1,
 * total slots 0"). */
static __always_inline int read_word(void *memory, uint64_t address, uint64_t *out)
{
	struct thread_state *thread = memory;
	uint64_t offset = address - thread->window_base, value = 0;

	if (offset >= thread->window_bytes || (offset & 7)) {
		/* Reads go up the stack: the next ones are likely right above. */
		if ((address & 7) || fill_window(thread, address)) {
			if (bpf_probe_read_user(&value, sizeof(value), (void *)address))
				return 1;
			UNPROVABLE(value);
			*out = value;
			return 0;
		}
		offset = 0;
	}
	offset >>= 3;
	UNPROVABLE(offset);
	value = thread->window[offset & (ML_WINDOW_WORDS - 1)];
	UNPROVABLE(value);
	*out = value;
	return 0;
}

#define EEXIST                               17 /* what a hash gives for a key that is there */

#define ML_UNWIND_READ(memory, address, out) read_word(memory, address, out)
#include "shared/unwind_step.h"

#include "java.bpf.h"

_Static_assert((ML_WINDOW_WORDS & (ML_WINDOW_WORDS - 1)) == 0, "masks need a power of two");
_Static_assert((ML_PROCESS_MAPS & (ML_PROCESS_MAPS - 1)) == 0, "masks need a power of two");

/* Index of the mapping that holds @ip, or -1. */
__noinline int map_index(struct ml_process_maps *maps, uint64_t ip)
{
	if (!maps)
		return -1;

	uint32_t low = 0, high = maps->count;

	if (high > ML_PROCESS_MAPS)
		high = ML_PROCESS_MAPS;
	for (int i = 0; i < 10 && low < high; i++) { /* 2^10 > ML_PROCESS_MAPS */
		uint32_t middle = (low + high) >> 1;

		if (middle >= ML_PROCESS_MAPS)
			break;

		struct ml_process_map *map = &maps->map[middle];

		if (ip < map->start)
			high = middle;
		else if (ip >= map->end)
			low = middle + 1;
		else
			return (int)middle;
	}
	return -1;
}

static __always_inline struct ml_process_map *find_map(struct ml_process_maps *maps, uint64_t ip)
{
	uint64_t index = (uint32_t)map_index(maps, ip);

	if (index == (uint32_t)-1)
		return NULL;
	UNPROVABLE(index);
	return &maps->map[index & (ML_PROCESS_MAPS - 1)];
}

/* The last row in [low, high) whose pc is not above @pc; a page of 1 KiB has at most 1024 rows. */
__noinline uint64_t find_row(uint32_t low, uint32_t high, uint32_t pc)
{
	uint64_t *row;

	for (int i = 0; i < 12 && low + 1 < high; i++) {
		uint32_t middle = (low + high) >> 1;

		row = bpf_map_lookup_elem(&rows, &middle);
		if (!row)
			break;
		if ((uint32_t)*row <= pc)
			low = middle;
		else
			high = middle;
	}
	row = bpf_map_lookup_elem(&rows, &low);
	return row ? *row : 0;
}

#define ROW_CACHE_BITS 14

struct cached_row {
	uint64_t check;
	uint64_t row;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << ROW_CACHE_BITS);
	__type(key, uint32_t);
	__type(value, struct cached_row);
} row_cache SEC(".maps");

struct walk {
	struct thread_state *thread;
	struct ml_process_maps *maps;
	struct ml_process_map *map; /* of the frame before: most callers are near */
	struct ml_unwind_regs regs;
	uint64_t hash;
	uint32_t depth;
	uint32_t count;
	uint32_t end;
};

/* The row in effect at @pc; a row of kind ML_CFA_NONE when there is none. */
static __always_inline struct ml_unwind_row row_at(const struct ml_process_map *map, uint64_t ip)
{
	union {
		uint64_t word;
		struct ml_unwind_row row;
	} found = {};
	uint32_t pc = (uint32_t)(ip - map->bias);
	uint32_t page = (pc >> ML_UNWIND_PAGE_SHIFT) - map->page_base;

	if (page >= map->page_count)
		return found.row;

	uint32_t key = map->page_first + page;
	uint64_t *range = bpf_map_lookup_elem(&pages, &key);

	/* The row before the page's first is in effect at its start. A table begins with an empty
	 * row. */
	if (range)
		found.word = find_row((uint32_t)*range - 1, (uint32_t)(*range >> 32), pc);
	return found.row;
}

/* The row in effect at @at, out of a cache of all threads. Two CPUs may write an entry at once:
 * only words that belong together give @at. In place of its pc a cached row has the version of the
 * mappings it was found by. */
static __always_inline struct ml_unwind_row cached_row(struct walk *walk, uint64_t at)
{
	uint32_t slot = (uint32_t)(at * 0x9e3779b97f4a7c15ull >> (64 - ROW_CACHE_BITS));
	uint32_t version = walk->maps->version;
	struct cached_row *cached = bpf_map_lookup_elem(&row_cache, &slot);
	struct ml_process_map *map = walk->map;
	union {
		uint64_t word;
		struct ml_unwind_row row;
	} found = {};

	if (!cached)
		return found.row;
	found.word = cached->row;
	if (found.row.pc == version && (cached->check ^ found.word) == at)
		return found.row;
	found.word = 0;
	if (!map || at < map->start || at >= map->end) {
		map = find_map(walk->maps, at);
		walk->map = map;
	}
	if (map && map->page_count)
		found.row = row_at(map, at);
	found.row.pc = version;
	cached->row = found.word;
	cached->check = found.word ^ at;
	return found.row;
}

static __always_inline void stir(struct walk *walk, uint64_t word)
{
	walk->hash = (walk->hash ^ word) * 0x9e3779b97f4a7c15ull;
	walk->hash ^= walk->hash >> 29;
}

/* Steps through a frame of HotSpot's code; what to keep of it. */
static __always_inline uint64_t walk_java_frame(struct walk *walk, uint64_t entry)
{
	struct ml_java_step step = {.regs = walk->regs, .entry = entry};

	walk->end = (uint32_t)java_step(walk->maps, &step, walk->thread);
	walk->regs = step.regs;
	walk->thread->has_java = 1;
	stir(walk, step.entry);
	return step.entry;
}

static long walk_frame(uint32_t index, void *context)
{
	struct walk *walk = context;
	struct thread_state *thread = walk->thread;
	struct ml_process_maps *maps = walk->maps;

	if (!thread || !maps || index >= ML_STACK_DEPTH || index >= walk->depth) {
		walk->end = ML_WALK_DEPTH;
		return 1;
	}

	uint64_t ip = walk->regs.ip, at = ip - walk->regs.is_call;
	uint64_t entry = walk->regs.is_call ? ip : ip | ML_STACK_IP_INTERRUPTED;

	walk->count = index + 1;
	if (ml_java_has(&maps->java, at)) {
		thread->stack.ip[index] = walk_java_frame(walk, entry);
		return walk->end != ML_WALK_MORE;
	}
	thread->stack.ip[index] = entry;
	stir(walk, ip);
	walk->end = ml_unwind_by_row(cached_row(walk, at), &walk->regs, thread);
	return walk->end != ML_WALK_MORE;
}

static __always_inline void count_end(uint32_t end)
{
	if (end == ML_WALK_FAULT)
		count(ML_COUNTER_STACKS_FAULT);
	else if (end == ML_WALK_NO_UNWIND_INFO)
		count(ML_COUNTER_STACKS_NO_UNWIND_INFO);
	else if (end == ML_WALK_DEPTH)
		count(ML_COUNTER_STACKS_DEPTH);
}

/* A stack and, when something was allocated from it before, its site. */
struct recorded_stack {
	uint64_t id;
	struct ml_site_record *site;
};

#include "python.bpf.h"

/* Tells of the new stack @id, so that its names are read soon. */
static __always_inline void tell_names(uint64_t id, uint32_t process)
{
	struct ml_name_event *event = bpf_ringbuf_reserve(&name_events, sizeof(*event), 0);

	if (!event) /* then the next snapshot finds it */
		return;
	event->stack = id;
	event->tgid = process;
	event->reserved = 0;
	bpf_ringbuf_submit(event, 0);
}

/* Walks the stack of @ctx (at a return) into @walk's thread. */
static __always_inline void walk_stack(const struct pt_regs *ctx, struct walk *walk)
{
	struct thread_state *thread = walk->thread;

	/* Kept where the verifier does not follow it: as a local it doubles what is verified. */
	thread->has_java = 0;
	fill_window(thread, ctx->sp);
	if (walk->maps)
		bpf_loop(ML_STACK_DEPTH + 1, walk_frame, walk, 0);
}

/* Walks the stack of @ctx (at a return) and keeps it. */
static __always_inline struct recorded_stack record_stack(struct pt_regs *ctx,
							  struct thread_state *thread,
							  const struct ml_trace_config *cfg,
							  uint32_t process)
{
	struct walk walk = {
		.thread = thread,
		.maps = bpf_map_lookup_elem(&processes, &process),
		.regs = {.ip = ctx->ip, .sp = ctx->sp, .bp = ctx->bp, .bx = ctx->bx, .is_call = 1},
		.hash = process,
		.depth = cfg->depth,
		.end = ML_WALK_NO_UNWIND_INFO,
	};

	walk_stack(ctx, &walk);
	count_end(walk.end);

	bool has_python = walk.maps && walk.maps->python.main_interpreter &&
			  walk_python(thread, &walk.maps->python, &walk.hash);

	/* Never ML_STACK_ID_NONE, never 0. */
	struct recorded_stack result = {.id = walk.hash | 2};

	result.site = bpf_map_lookup_elem(&sites, &result.id);
	if (result.site)
		return result;
	thread->stack.count = walk.count;
	thread->stack.end = walk.end;
	thread->stack.tgid = process;
	thread->stack.reserved = 0;
	/* Whoever finds the stack finds its Python part, too. */
	if (has_python)
		keep_python(thread, result.id);

	long err = bpf_map_update_elem(&stacks, &result.id, &thread->stack, BPF_NOEXIST);

	if (err && err != -EEXIST) {
		count(ML_COUNTER_STACK_TABLE_FULL);
		result.id = ML_STACK_ID_NONE;
		result.site = bpf_map_lookup_elem(&sites, &result.id);
		return result;
	}
	if (has_python || thread->has_java)
		tell_names(result.id, process);
	return result;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * The agent's tables of blocks and sites, part of agent.c.
 *
 * Blocks are kept by address: a page of cells for 64 MiB, a cell for a region of 64 KiB, tables of
 * lines for a region. The first table has room for a region full of blocks of the size that came
 * first; when it is full another is put behind it, so that nothing ever moves. What lies together
 * in the heap lies together here, which costs fewer cache misses than one hash table of everything,
 * and no memory where there are no blocks.
 *
 * An address belongs to one party at any moment: to the allocator until its call returns, to the
 * program until it frees. So no two threads book one address at once, and only the claim of a place
 * must be atomic; not even that in tables where one thread alone takes places.
 */

#include "shared/sample_weight.h"

/* What a block of a common allocator takes beside its size, about. */
#define MALLOC_HEADER 16u
/* Lines that are looked at to tell how full a table is. */
#define SAMPLED_LINES 16u
/* In how many lines of a table a block may be. */
#define PROBED_LINES 4u

/* A block to be booked, or that was taken out. */
struct block {
	uint64_t address; /* 0: none */
	uint64_t size;
	uint32_t stack;
	uint32_t tid_number;
	uint32_t born; /* ticks */
};

struct place {
	struct ml_agent_line *line;
	uint32_t i;
	bool is_own; /* nobody but the thread takes places of this table */
};

static inline uint32_t place_key(uint64_t address)
{
	return ML_AGENT_KEY_USED | ((uint32_t)(address >> 3) & ML_AGENT_KEY_PLACE);
}

/* ---- tables -----------------------------------------------------------------------------------
 */

RARE static uint32_t page_new(struct ml_agent_memory *memory, uint32_t *top, uint32_t number)
{
	uint32_t page = LOAD(memory->page_count) + 1, old = 0;

	if (page >= ML_AGENT_PAGES)
		return 0;
	page = __atomic_add_fetch(&memory->page_count, 1, __ATOMIC_RELAXED);
	if (page >= ML_AGENT_PAGES)
		return 0;
	memory->page_tops[page] = number;
	/* Another thread was first: this page stays empty. */
	if (!__atomic_compare_exchange_n(top, &old, page, false, __ATOMIC_ACQ_REL,
					 __ATOMIC_ACQUIRE))
		return old;
	return page;
}

/* The cell of @address's region; NULL when there is none, with @make when no more can be had. */
static inline uint64_t *cell_of(struct ml_agent_memory *memory, uint64_t address, bool make)
{
	uint64_t number = address >> ML_AGENT_PAGE_SHIFT;

	if (UNLIKELY(number >= ML_AGENT_TOPS))
		return NULL;

	uint32_t page = LOAD(memory->tops[number]);

	if (UNLIKELY(!page)) {
		if (!make)
			return NULL;
		page = page_new(memory, &memory->tops[number], (uint32_t)number);
		if (!page)
			return NULL;
	}
	return &memory->pages[page][address >> ML_AGENT_REGION_SHIFT & (ML_AGENT_PAGE_REGIONS - 1)];
}

/* The line of @table that the block of @key should be in. */
static inline struct ml_agent_line *line_of(struct ml_agent_memory *memory, uint32_t table,
					    uint32_t key)
{
	uint64_t hash = (uint32_t)(key * 0x9e3779b1u);

	return &memory->lines[ML_AGENT_TABLE_FIRST(table) +
			      (hash >> (32 - ML_AGENT_TABLE_LOG2(table)))];
}

/* A block whose line is full goes to one near it: where @step is at most this. */
static inline uint32_t last_step(uint32_t table)
{
	uint32_t lines = 1u << ML_AGENT_TABLE_LOG2(table);

	return (lines < PROBED_LINES ? lines : PROBED_LINES) - 1;
}

static inline struct ml_agent_line *line_at(struct ml_agent_memory *memory, uint32_t table,
					    struct ml_agent_line *line, uint32_t step)
{
	uint32_t i = (uint32_t)(line - memory->lines) - ML_AGENT_TABLE_FIRST(table);

	return &memory->lines[ML_AGENT_TABLE_FIRST(table) + (i ^ step)];
}

static inline uint32_t next_table(struct ml_agent_memory *memory, uint32_t table)
{
	return __atomic_load_n(&memory->lines[ML_AGENT_TABLE_FIRST(table)].more, __ATOMIC_ACQUIRE) &
	       ~ML_AGENT_LINE_SPILLED;
}

/* Lines that a region full of blocks of @size needs. */
static inline uint32_t lines_for(uint64_t size)
{
	return (uint32_t)((1u << ML_AGENT_REGION_SHIFT) / (size + MALLOC_HEADER) /
			  ML_AGENT_LINE_BLOCKS) +
	       1;
}

/* Lines of all tables of the region before @cell; 0 when there are none. */
static uint32_t lines_before(struct ml_agent_memory *memory, const uint64_t *cell)
{
	uint32_t lines = 0;
	uint64_t region = cell > memory->pages[0] ? LOAD(cell[-1]) : 0;

	for (uint32_t table = (uint32_t)region; table; table = next_table(memory, table))
		lines += 1u << ML_AGENT_TABLE_LOG2(table);
	return lines;
}

/* Whether @table would do with half its lines: by some of them. */
static bool is_half_empty(const struct ml_agent_memory *memory, uint32_t table)
{
	const struct ml_agent_line *line = &memory->lines[ML_AGENT_TABLE_FIRST(table)];
	uint32_t lines = 1u << ML_AGENT_TABLE_LOG2(table), used = 0;

	if (lines < 2 * SAMPLED_LINES)
		return false;
	for (uint32_t i = 0; i < SAMPLED_LINES; i++)
		for (uint32_t k = 0; k < ML_AGENT_LINE_BLOCKS; k++)
			used += LOAD(line[i].key[k]) != 0;
	return used < 2 * SAMPLED_LINES;
}

/* Lines for the first table at @cell, where a block of @size comes first: what the blocks before it
 * are like, or those at present, these will be. */
static uint32_t first_lines(struct ml_agent_memory *memory, const uint64_t *cell, uint64_t size)
{
	uint32_t wanted = lines_for(size), usual = lines_before(memory, cell);

	if (usual && is_half_empty(memory, (uint32_t)LOAD(cell[-1])))
		return usual / 2;
	/* A little behind the first table is no reason to double that. */
	if (usual)
		return usual - usual / 4 < 4 * wanted ? usual - usual / 4 : 4 * wanted;
	usual = lines_for(LOAD(memory->mean_size));
	return usual < wanted ? usual : wanted;
}

/* The same for a table behind @lines of others, where a block has no place: not to be much too
 * large. Not by that block: where sizes are mixed the small ones are no sign of many. */
static uint32_t more_lines(const struct ml_agent_memory *memory, uint32_t lines)
{
	return lines_for(LOAD(memory->mean_size)) > lines ? lines : lines / 4;
}

/* A table of at least @wanted lines, for a block of @size; 0 when there are none. */
RARE static uint32_t table_new(struct ml_agent_memory *memory, uint64_t size, uint32_t wanted,
			       bool is_owned)
{
	uint32_t mean = LOAD(memory->mean_size), log2 = 0, first;

	while ((1u << log2) < wanted)
		log2++;
	/* Only a guess: threads may lose each other's. */
	if (size <= 1u << ML_AGENT_REGION_SHIFT)
		mean = (7 * mean + (uint32_t)size + 7) / 8;
	__atomic_store_n(&memory->mean_size, mean, __ATOMIC_RELAXED);

	if (LOAD(memory->line_count) + (1u << log2) >= memory->line_limit)
		log2 = 0;
	first = __atomic_fetch_add(&memory->line_count, 1u << log2, __ATOMIC_RELAXED) + 1;
	if (first + (1u << log2) > memory->line_limit) {
		__atomic_fetch_sub(&memory->line_count, 1u << log2, __ATOMIC_RELAXED);
		return 0;
	}
	return ML_AGENT_TABLE(first, log2, is_owned);
}

/* Whether a region's first table is to be of the thread that puts the first block there: not where
 * threads use each other's regions anyway. */
static bool is_owning_worth_it(const struct ml_agent_memory *memory)
{
	return LOAD(memory->shared_count) <= 16 + LOAD(memory->owned_count) / 4;
}

/* The first table of a region, of thread @own unless that is 0. When another thread was first its
 * table is used, and these lines are lost. */
RARE static bool region_new(struct ml_agent_memory *memory, uint64_t *cell, uint64_t size,
			    uint32_t own)
{
	uint64_t nothing = 0;
	uint32_t table;

	if (!is_owning_worth_it(memory))
		own = 0;
	table = table_new(memory, size, first_lines(memory, cell, size), own);
	if (!table)
		return false;
	if (__atomic_compare_exchange_n(cell, &nothing,
					(uint64_t)own << ML_AGENT_CELL_OWNER | table, false,
					__ATOMIC_ACQ_REL, __ATOMIC_RELAXED) &&
	    own)
		ADD(memory->owned_count, 1);
	return true;
}

/* The same behind @table, the last one of its region. */
RARE static bool table_append(struct ml_agent_memory *memory, uint32_t table, uint64_t size,
			      uint32_t lines, bool is_owned)
{
	uint32_t *more = &memory->lines[ML_AGENT_TABLE_FIRST(table)].more, old = LOAD(*more);
	uint32_t next = table_new(memory, size, more_lines(memory, lines), is_owned);

	if (!next)
		return false;
	while (!(old & ~ML_AGENT_LINE_SPILLED))
		if (__atomic_compare_exchange_n(more, &old, old | next, false, __ATOMIC_ACQ_REL,
						__ATOMIC_RELAXED))
			break;
	return true;
}

/* ---- lines ------------------------------------------------------------------------------------
 *
 * Which of a line's blocks is meant cannot be foreseen: it is found without a branch.
 */

#define NOT_THERE ML_AGENT_LINE_BLOCKS

static inline uint32_t index_of(const struct ml_agent_line *line, uint32_t wanted)
{
	uint32_t found = NOT_THERE;

#pragma GCC unroll 5
	for (uint32_t i = ML_AGENT_LINE_BLOCKS; i-- > 0;)
		choose_zero(&found, i,
			    (LOAD(line->key[i]) ^ wanted) &
				    (ML_AGENT_KEY_USED | ML_AGENT_KEY_PLACE));
	return found;
}

static inline uint32_t free_index(const struct ml_agent_line *line)
{
	uint32_t found = NOT_THERE;

#pragma GCC unroll 5
	for (uint32_t i = ML_AGENT_LINE_BLOCKS; i-- > 0;)
		choose_zero(&found, i, LOAD(line->key[i]));
	return found;
}

static inline bool is_key(uint32_t key, uint32_t wanted)
{
	return !((key ^ wanted) & (ML_AGENT_KEY_USED | ML_AGENT_KEY_PLACE));
}

static inline uint32_t key_at(struct place place)
{
	return LOAD(place.line->key[place.i]);
}

static inline void set_key(struct place place, uint32_t key)
{
	__atomic_store_n(&place.line->key[place.i], key, __ATOMIC_RELEASE);
}

static inline bool is_spilled(const struct ml_agent_line *line)
{
	return LOAD(line->more) & ML_AGENT_LINE_SPILLED;
}

/* ---- what a thread remembers of places --------------------------------------------------------
 *
 * Allocators give out what was freed last: most blocks come where the thread has freed one.
 */

_Static_assert(RECENT_BITS + RECENT_ADDRESS_SHIFT >= ML_AGENT_ADDRESS_BITS, "a whole address");
_Static_assert(ML_AGENT_RECENT == 1024, "chosen by the address's bits 3 to 12");
_Static_assert(RECENT_OWN == 1ull << (RECENT_OWN_BIT - RECENT_BITS), "");
_Static_assert(offsetof(struct ml_agent_memory, lines) >= RECENT_BASE &&
		       offsetof(struct ml_agent_memory, lines) - RECENT_BASE +
				       (1ull + ML_AGENT_LINES) * sizeof(struct ml_agent_line) <=
			       4ull << (64 - RECENT_BITS),
	       "a place in all lines");

/* One word, so that no signal handler can change half of it. entry.S looks at it, and at the key
 * that it leads to. */
static inline void remember(struct ml_agent_memory *memory, struct ml_agent_memo *memo,
			    uint64_t address, struct place place)
{
	uint64_t number = ((uint64_t)place.line - (uint64_t)memory - RECENT_BASE) / 4 | place.i |
			  (place.is_own ? RECENT_OWN : 0);

	__atomic_store_n(&memo->recent[(address & RECENT_INDEX) / 8],
			 number << RECENT_BITS | address >> RECENT_ADDRESS_SHIFT, __ATOMIC_RELAXED);
}

/* ---- blocks -----------------------------------------------------------------------------------
 */

/* A large block's size does not fit its line. */
RARE static uint32_t large_new(struct ml_agent_memory *memory, const struct block *block)
{
	uint32_t first = (uint32_t)((block->address >> 12) * GOLDEN >> 48);

	for (uint32_t k = 0; k < ML_AGENT_LARGE; k++) {
		uint32_t i = (first + k) & (ML_AGENT_LARGE - 1);
		uint64_t nothing = 0;

		if (LOAD(memory->large[i].size) ||
		    !__atomic_compare_exchange_n(&memory->large[i].size, &nothing, block->size,
						 false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
			continue;
		memory->large[i].tid = memory->tids[block->tid_number];
		return ML_AGENT_SIZE_LARGE | i;
	}
	return 0;
}

static void large_free(struct ml_agent_memory *memory, uint32_t size)
{
	__atomic_store_n(&memory->large[size & (ML_AGENT_LARGE - 1)].size, 0, __ATOMIC_RELEASE);
}

/* What the line's size word is for @block; 0 when there is no room. */
static inline uint32_t size_word(struct ml_agent_memory *memory, const struct block *block)
{
	if (UNLIKELY(block->size >= ML_AGENT_LARGE_BYTES))
		return large_new(memory, block);
	return (uint32_t)block->size | block->tid_number << ML_AGENT_SIZE_TID;
}

static inline bool claim_place(struct place place)
{
	uint32_t nothing = 0;

	return !key_at(place) &&
	       __atomic_compare_exchange_n(&place.line->key[place.i], &nothing, ML_AGENT_KEY_BUSY,
					   false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

/* Books @block at @place, which is taken. */
static inline void fill_place(struct place place, const struct block *block, uint32_t size)
{
	place.line->size[place.i] = size;
	place.line->born[place.i] =
		block->born << ML_AGENT_BORN_SHIFT | ((uint32_t)block->address & 7);
	set_key(place, place_key(block->address) | block->stack << ML_AGENT_KEY_STACK);
}

static inline void empty_place(struct ml_agent_memory *memory, struct place place)
{
	uint32_t size = place.line->size[place.i];

	set_key(place, 0);
	if (UNLIKELY(size & ML_AGENT_SIZE_LARGE))
		large_free(memory, size);
}

/* Where the block of @wanted is in @table. */
static bool find_in_table(struct ml_agent_memory *memory, uint32_t table, uint32_t wanted,
			  struct place *out)
{
	struct ml_agent_line *line = line_of(memory, table, wanted);

	for (uint32_t step = 0; step <= last_step(table); step++) {
		out->line = line_at(memory, table, line, step);
		out->i = index_of(out->line, wanted);
		if (out->i != NOT_THERE)
			return true;
		if (!is_spilled(out->line))
			return false;
	}
	return false;
}

/* A free place for @wanted in @table, now taken. */
static bool take_in_table(struct ml_agent_memory *memory, uint32_t table, uint32_t wanted,
			  struct place *out)
{
	struct ml_agent_line *line = line_of(memory, table, wanted);
	uint32_t step = 0;

	out->is_own = table & ML_AGENT_TABLE_OWNED;
	while (step <= last_step(table)) {
		out->line = line_at(memory, table, line, step);
		out->i = free_index(out->line);
		if (out->i == NOT_THERE) {
			if (!is_spilled(out->line))
				__atomic_fetch_or(&out->line->more, ML_AGENT_LINE_SPILLED,
						  __ATOMIC_RELEASE);
			step++;
		} else if (out->is_own || claim_place(*out)) {
			return true;
		}
	}
	return false;
}

/* A place for the block in the tables, which grow for it, now taken. One of that address that is
 * there already was freed without our seeing it. @own is the thread's key; 0 when its own tables
 * must not be touched, as it was interrupted at them. */
__attribute__((noinline)) static bool place_new(struct ml_agent_memory *memory, uint32_t own,
						const struct block *block, struct place *out)
{
	uint64_t *cell = cell_of(memory, block->address, true), region;
	uint32_t wanted = place_key(block->address), table, last = 0, lines = 0;
	bool is_own, is_taken = false;

	if (!cell)
		return false;
	while (!(region = __atomic_load_n(cell, __ATOMIC_ACQUIRE)))
		if (!region_new(memory, cell, block->size, own))
			return false;
	is_own = own && (uint16_t)(region >> ML_AGENT_CELL_OWNER) == own;
	for (table = (uint32_t)region;; table = next_table(memory, last)) {
		struct place old;

		if (table && find_in_table(memory, table, wanted, &old))
			empty_place(memory, old);
		if (table && !is_taken && (is_own || !(table & ML_AGENT_TABLE_OWNED)))
			is_taken = take_in_table(memory, table, wanted, out);
		if (!table && is_taken)
			break;
		if (!table) {
			if (!table_append(memory, last, block->size, lines, is_own))
				return false;
			if (!is_own && region >> ML_AGENT_CELL_OWNER)
				ADD(memory->shared_count, 1);
			continue;
		}
		lines += 1u << ML_AGENT_TABLE_LOG2(table);
		last = table;
	}
	if (last != (uint32_t)region && !(LOAD(*cell) & ML_AGENT_CELL_CHAINED))
		__atomic_fetch_or(cell, ML_AGENT_CELL_CHAINED, __ATOMIC_RELEASE);
	return true;
}

/* A free place near its line, when the region is the thread's own and has but one table. */
static inline bool place_at_once(struct ml_agent_memory *memory, uint32_t own, uint64_t address,
				 struct place *out)
{
	const uint64_t *cell = cell_of(memory, address, false);
	uint64_t region = cell ? LOAD(*cell) : 0;
	uint32_t wanted = place_key(address), table = (uint32_t)region, step = 0;
	struct ml_agent_line *line;

	if (UNLIKELY(region >> ML_AGENT_CELL_OWNER != own))
		return false;
	out->line = line_of(memory, table, wanted);
	out->i = free_index(out->line);
	out->is_own = true;
	for (line = out->line; UNLIKELY(is_spilled(line));) {
		if (index_of(line, wanted) != NOT_THERE || step == last_step(table))
			return false;
		line = line_at(memory, table, line_of(memory, table, wanted), ++step);
		if (out->i == NOT_THERE)
			*out = (struct place){line, free_index(line), true};
	}
	return index_of(line, wanted) == NOT_THERE && out->i != NOT_THERE;
}

/* Puts @block in. @thread is NULL when its tables and what it remembers must not be touched. */
static bool put_block(struct ml_agent_memory *memory, struct ml_agent_thread *thread,
		      const struct block *block)
{
	uint32_t size = size_word(memory, block), own = thread ? thread->own_key : 0;
	struct place place;

	/* That of malloc(0) by thread number 0 is 0 as well. */
	if (!size && block->size)
		return false;
	if (!place_new(memory, own, block, &place)) {
		if (size & ML_AGENT_SIZE_LARGE)
			large_free(memory, size);
		return false;
	}
	if (thread)
		remember(memory, thread->memo, block->address, place);
	fill_place(place, block, size);
	return true;
}

KEEPS_REGISTERS __attribute__((noinline)) static bool
find_in_region(struct ml_agent_memory *memory, uint64_t region, uint32_t wanted, struct place *out)
{
	uint32_t table = (uint32_t)region;

	out->is_own = false;
	while (table && !find_in_table(memory, table, wanted, out))
		table = region & ML_AGENT_CELL_CHAINED ? next_table(memory, table) : 0;
	return table;
}

static inline bool find_place(struct ml_agent_memory *memory, uint32_t own, uint64_t address,
			      struct place *out)
{
	const uint64_t *cell = cell_of(memory, address, false);
	uint64_t region = cell ? __atomic_load_n(cell, __ATOMIC_ACQUIRE) : 0;
	uint32_t wanted = place_key(address);

	if (UNLIKELY(!region))
		return false;
	out->line = line_of(memory, (uint32_t)region, wanted);
	out->i = index_of(out->line, wanted);
	out->is_own = own && region >> ML_AGENT_CELL_OWNER == own;
	return LIKELY(out->i != NOT_THERE) || find_in_region(memory, region, wanted, out);
}

/* Takes the block at @address out and tells what it was; false when it is not there. Freed twice
 * at once is the program's bug. */
static bool take_block(struct ml_agent_memory *memory, uint64_t address, struct block *out)
{
	struct place place;
	uint32_t key, size;

	out->address = 0;
	if (!find_place(memory, 0, address, &place))
		return false;
	key = key_at(place);
	size = place.line->size[place.i];
	*out = (struct block){
		.address = address,
		.size = size & (ML_AGENT_LARGE_BYTES - 1),
		.stack = (key & ~ML_AGENT_KEY_USED) >> ML_AGENT_KEY_STACK,
		.tid_number = size >> ML_AGENT_SIZE_TID,
		.born = place.line->born[place.i] >> ML_AGENT_BORN_SHIFT,
	};
	if (size & ML_AGENT_SIZE_LARGE) {
		out->size = memory->large[size & (ML_AGENT_LARGE - 1)].size;
		out->tid_number = 0;
	}
	empty_place(memory, place);
	return true;
}

/* ---- sites ------------------------------------------------------------------------------------
 */

static void book_site(struct ml_agent_memory *memory, uint32_t stack, uint64_t allocs,
		      uint64_t bytes)
{
	ADD(memory->sites[stack].allocs, allocs);
	ADD(memory->sites[stack].alloc_bytes, bytes);
}

/* Of a sampled block: estimates of what it stands for. */
static void book_sample(struct ml_agent_memory *memory, uint32_t stack, uint64_t size)
{
	uint64_t mean = LOAD(memory->config.sample_bytes);

	ADD(memory->sampled[stack].allocs, ml_sample_count(size, mean));
	ADD(memory->sampled[stack].alloc_bytes, ml_sample_bytes(size, mean));
}

/* Moves what @trace counted to its site, before it is used for another stack. */
static void settle_trace(struct ml_agent_memory *memory, struct ml_agent_trace *trace)
{
	uint64_t allocs = trace->allocs, bytes = trace->alloc_bytes;

	if (!allocs)
		return;
	trace->allocs = trace->alloc_bytes = 0;
	book_site(memory, trace->stack, allocs, bytes);
}

/* ---- direct mmap calls ------------------------------------------------------------------------
 */

static void tell_map(struct ml_agent_memory *memory, const struct ml_map_event *event)
{
	uint64_t head = LOAD(memory->map_event_head);

	do {
		if (head - LOAD(memory->map_event_tail) >= ML_AGENT_MAP_EVENTS) {
			count(memory, ML_COUNTER_MAP_EVENTS_LOST);
			return;
		}
	} while (!__atomic_compare_exchange_n(&memory->map_event_head, &head, head + 1, false,
					      __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));

	struct ml_agent_map_event *place = &memory->map_events[head & (ML_AGENT_MAP_EVENTS - 1)];

	place->event = *event;
	/* Times are those of the heartbeat; the number keeps events of one beat in order. */
	place->event.time_ns += head & 0xfffff;
	__atomic_store_n(&place->sequence, head + 1, __ATOMIC_RELEASE);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * The agent's books of blocks and sites, part of agent.c.
 *
 * An address belongs to one party at any moment: to the allocator until its call returns, to the
 * program until it frees. So no two threads book one address at once, and only the claim of a place
 * must be atomic; not even that in tables where one thread alone takes places.
 */
#include "shared/sample_weight.h"

#include "agent/tables.h"

/* ---- what a thread remembers of places --------------------------------------------------------
 *
 * Allocators give out what was freed last: most blocks come where the thread has freed one.
 */

/* So many blocks out of places that are not remembered in so many events: it is worth more memory.
 */
#define FORGOTTEN_LIMIT 1024u
#define FORGOTTEN_MANY  (16 * FORGOTTEN_LIMIT)

_Static_assert(RECENT_BITS + RECENT_ADDRESS_SHIFT >= ML_AGENT_ADDRESS_BITS, "a whole address");
_Static_assert(ML_AGENT_RECENT_FIRST >= 1 << (RECENT_ADDRESS_SHIFT - 4), "by the bits from 4 on");
_Static_assert(RECENT_OWN == 1ull << (RECENT_OWN_BIT - RECENT_BITS), "");
_Static_assert(RECENT_OTHERS == 1ull << (63 - RECENT_BITS), "its sign");
_Static_assert(offsetof(struct ml_agent_memory, lines) >= RECENT_BASE &&
		       offsetof(struct ml_agent_memory, lines) - RECENT_BASE +
				       (1ull + ML_AGENT_LINES) * sizeof(struct ml_agent_line) <=
			       4ull * RECENT_OTHERS,
	       "a place in all lines");

static inline uint64_t *recent_of(struct ml_agent_thread *thread, uint64_t address)
{
	return &thread->memo->recent[(address >> 1 & thread->recent_mask) / 8];
}

/* One word, so that no signal handler can change half of it. entry.S looks at it, and at the key
 * that it leads to; nothing counts there, so displaced blocks are not remembered. */
static inline void remember(struct ml_agent_memory *memory, struct ml_agent_thread *thread,
			    uint64_t address, struct place place)
{
	uint64_t number = ((uint64_t)place.line - (uint64_t)memory - RECENT_BASE) / 4 | place.i |
			  (place.is_own ? RECENT_OWN : 0) | (place.is_others ? RECENT_OTHERS : 0);

	if (address & 15)
		return;
	__atomic_store_n(
		recent_of(thread, address),
		place.is_displaced ? 0 : number << RECENT_BITS | address >> RECENT_ADDRESS_SHIFT,
		__ATOMIC_RELAXED);
}

/* Whether it is remembered where the thread last booked a block of @address, and it is not there
 * any more: then it is nowhere in tables that are the thread's own. */
static inline bool is_known_gone(const struct ml_agent_memory *memory,
				 struct ml_agent_thread *thread, uint64_t address)
{
	uint64_t recent = LOAD(*recent_of(thread, address));
	const char *from = (const char *)memory + RECENT_BASE;
	const uint32_t *key = (const void *)(from + (recent >> RECENT_BITS & RECENT_PLACE) * 4);

	return !((recent ^ address >> RECENT_ADDRESS_SHIFT) << (64 - RECENT_BITS)) &&
	       !(address & 15) && !is_key(LOAD(*key), place_key(address));
}

/* The thread is to remember twice as many places; one that it then has twice is right in both. */
RARE static void remember_more(struct ml_agent_memory *memory, struct ml_agent_thread *thread)
{
	uint32_t more = thread->recent_mask / 8 + 1;

	if (more == ML_AGENT_RECENT)
		return;
	if (__atomic_add_fetch(&memory->recent_count, more, __ATOMIC_RELAXED) > ML_AGENT_RECENT_ALL)
		__atomic_fetch_sub(&memory->recent_count, more, __ATOMIC_RELAXED);
	else
		thread->recent_mask = 2 * thread->recent_mask + 8;
}

/* A block is freed whose place was not remembered any more: are there many? */
static inline void note_forgotten(struct ml_agent_memory *memory, struct ml_agent_thread *thread)
{
	if (LIKELY(++thread->forgotten < FORGOTTEN_LIMIT))
		return;
	if (thread->events - thread->forgotten_since < FORGOTTEN_MANY)
		remember_more(memory, thread);
	thread->forgotten = 0;
	thread->forgotten_since = thread->events;
}

/* ---- blocks -----------------------------------------------------------------------------------
 */

static inline uint32_t stack_number(const struct block *block)
{
	return block->stack & ~ML_AGENT_STACK_SAMPLED;
}

/* A block whose size or stack do not fit its line. */
RARE static uint32_t large_new(struct ml_agent_memory *memory, const struct block *block)
{
	uint32_t first = (uint32_t)((block->address >> ML_AGENT_REGION_SHIFT) * GOLDEN >> 32) *
				 ML_AGENT_LARGE_RUN +
			 (block->address >> 8) % ML_AGENT_LARGE_RUN;

	for (uint32_t k = 0; k < ML_AGENT_LARGE_PROBES; k++) {
		uint32_t i = (first + k) & (ML_AGENT_LARGE - 1);
		uint64_t nothing = 0;

		if (LOAD(memory->large[i].size) ||
		    !__atomic_compare_exchange_n(&memory->large[i].size, &nothing, block->size + 1,
						 false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
			continue;
		memory->large[i].tid = memory->tids[block->tid_number];
		memory->large[i].stack = stack_number(block);
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
	if (UNLIKELY(block->size >= ML_AGENT_LARGE_BYTES ||
		     stack_number(block) >= ML_AGENT_KEY_STACKS))
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

static inline uint32_t key_of(const struct block *block)
{
	uint32_t stack = stack_number(block);

	return place_key(block->address) |
	       (block->stack & ML_AGENT_STACK_SAMPLED ? ML_AGENT_KEY_SAMPLED : 0) |
	       (stack < ML_AGENT_KEY_STACKS ? stack << ML_AGENT_KEY_STACK : 0);
}

/* Books @block at @place, which is taken. */
static inline void fill_place(struct place place, const struct block *block, uint32_t size)
{
	place.line->size[place.i] = size;
	place.line->born[place.i] =
		block->born << ML_AGENT_BORN_SHIFT | ((uint32_t)block->address & 7);
	set_key(place, key_of(block));
}

static inline void empty_place(struct ml_agent_memory *memory, uint64_t address, struct place place)
{
	uint32_t size = place.line->size[place.i];

	set_key(place, 0);
	if (UNLIKELY(size & ML_AGENT_SIZE_LARGE))
		large_free(memory, size);
	if (UNLIKELY(place.is_displaced))
		count_spill(memory, place.table, line_of(memory, place.table, place_key(address)),
			    false);
}

/* Where the block of @wanted is in @table, if it is there. */
static bool find_in_table(struct ml_agent_memory *memory, uint32_t table, uint32_t wanted,
			  struct place *out)
{
	struct ml_agent_line *line = line_of(memory, table, wanted);
	uint32_t last = is_spilled(line) ? last_step(table) : 0;

	out->table = table;
	for (uint32_t step = 0; step <= last; step++) {
		out->line = line_at(memory, table, line, step);
		out->i = index_of(out->line, wanted);
		out->is_displaced = step;
		if (out->i != NOT_THERE)
			return true;
	}
	return false;
}

/* The table of @region behind @table; 0 none. */
static inline uint32_t table_behind(struct ml_agent_memory *memory, uint64_t region, uint32_t table)
{
	return UNLIKELY(region & ML_AGENT_CELL_CHAINED) ? next_table(memory, table) : 0;
}

/* Of the place just found in a table of @region. */
static inline void tell_owner(uint32_t own, uint64_t region, struct place *place)
{
	bool is_owned = place->table & ML_AGENT_TABLE_OWNED;

	place->is_own = is_owned && own && (uint16_t)(region >> ML_AGENT_CELL_OWNER) == own;
	place->is_others = is_owned && !place->is_own;
}

/* A free place for @wanted in @table, now taken. Near where it should be it is counted, before
 * anybody can look for it. */
static bool take_in_table(struct ml_agent_memory *memory, uint32_t table, uint32_t wanted,
			  struct place *out)
{
	struct ml_agent_line *line = line_of(memory, table, wanted);

	*out = (struct place){.table = table, .is_own = table & ML_AGENT_TABLE_OWNED};
	for (uint32_t step = 0; step <= last_step(table); step++) {
		out->line = line_at(memory, table, line, step);
		out->is_displaced = step;
		while ((out->i = free_index(out->line)) != NOT_THERE) {
			if (!out->is_own && !claim_place(*out))
				continue;
			if (step)
				count_spill(memory, table, line, true);
			return true;
		}
	}
	return false;
}

/* A place for @block in another table of the region at @cell, that is made for it: before the
 * others, where those are much too small, so that it is found first. */
RARE static bool place_elsewhere(struct ml_agent_memory *memory, uint64_t *cell,
				 const struct block *block, uint32_t own, struct place *out)
{
	uint64_t region = LOAD(*cell);
	uint32_t owner = (uint16_t)(region >> ML_AGENT_CELL_OWNER), table;
	bool is_own = own && owner == own, is_strange = owner && !is_own;

	if (is_strange)
		ADD(memory->shared_count, 1);
	do {
		uint32_t first = (uint32_t)LOAD(*cell);
		uint32_t more = more_lines(memory, first);

		table = table_new(memory, block->size, more, is_own);
		if (!table)
			return false;
		if (!is_strange && ML_AGENT_TABLE_LOG2(table) >= ML_AGENT_TABLE_LOG2(first))
			table_prepend(memory, cell, table);
		else
			table_append(memory, cell, table, is_strange ? ML_AGENT_CELL_MIXED : 0);
	} while (!take_in_table(memory, table, place_key(block->address), out));
	return true;
}

/* A place for the block in the tables, which grow for it, now taken. One of that address that is
 * there already was freed without our seeing it. @own is the thread's key; 0 when its own tables
 * must not be touched, as it was interrupted at them. */
__attribute__((noinline)) static bool place_new(struct ml_agent_memory *memory, uint32_t own,
						const struct block *block, bool is_known_gone,
						struct place *out)
{
	uint64_t *cell = cell_of(memory, block->address, true), region;
	uint32_t wanted = place_key(block->address), table;
	bool is_own, is_taken = false, may_be_there;

	if (!cell)
		return false;
	while (!(region = __atomic_load_n(cell, __ATOMIC_ACQUIRE)))
		if (!region_new(memory, cell, block->size, own))
			return false;
	is_own = own && (uint16_t)(region >> ML_AGENT_CELL_OWNER) == own;
	may_be_there = !(is_known_gone && is_own && !(region & ML_AGENT_CELL_MIXED));
	for (table = (uint32_t)region; table && (!is_taken || may_be_there);
	     table = table_behind(memory, region, table)) {
		struct place old;

		if (may_be_there && find_in_table(memory, table, wanted, &old)) {
			empty_place(memory, block->address, old);
			may_be_there = false;
		}
		if (!is_taken && (is_own || !(table & ML_AGENT_TABLE_OWNED)))
			is_taken = take_in_table(memory, table, wanted, out);
	}
	return is_taken || place_elsewhere(memory, cell, block, own, out);
}

/* Whether the block of @wanted is in no table of @region, as is seen at once. */
static inline bool is_nowhere(struct ml_agent_memory *memory, uint64_t region, uint32_t wanted)
{
	for (uint32_t table = (uint32_t)region; table;
	     table = table_behind(memory, region, table)) {
		const struct ml_agent_line *line = line_of(memory, table, wanted);

		if (is_spilled(line) || index_of(line, wanted) != NOT_THERE)
			return false;
	}
	return true;
}

/* A free place in the first line where it may be, when the region is the thread's own and the block
 * is known to be nowhere else. */
__attribute__((always_inline)) static inline bool place_at_once(struct ml_agent_memory *memory,
								uint32_t own, uint64_t address,
								bool is_known_gone,
								struct place *out)
{
	const uint64_t *cell = cell_of(memory, address, false);
	uint64_t region = cell ? LOAD(*cell) : 0;
	uint32_t wanted = place_key(address), table = (uint32_t)region;

	if (UNLIKELY((region & ~ML_AGENT_CELL_CHAINED) >> ML_AGENT_CELL_OWNER != own))
		return false;
	*out = (struct place){
		.line = line_of(memory, table, wanted), .table = table, .is_own = true};
	out->i = free_index(out->line);
	return out->i != NOT_THERE && (is_known_gone || is_nowhere(memory, region, wanted));
}

/* Apart, for it needs more registers than most places do. */
KEEPS_REGISTERS __attribute__((noinline)) static bool
place_far(struct ml_agent_memory *memory, uint32_t own, const struct block *block,
	  bool is_known_gone, struct place *out)
{
	bool is_taken = place_new(memory, own, block, is_known_gone, out);

	/* clang 14 would leave by a jump there, without keeping the registers. */
	IN_ORDER();
	return is_taken;
}

/* A place for @block, now taken and remembered; false when there is no room. */
__attribute__((always_inline)) static inline bool place_of_own(struct ml_agent_memory *memory,
							       struct ml_agent_thread *thread,
							       const struct block *block,
							       struct place *out)
{
	bool is_gone = is_known_gone(memory, thread, block->address);

	if (!place_at_once(memory, thread->own_key, block->address, is_gone, out) &&
	    !place_far(memory, thread->own_key, block, is_gone, out))
		return false;
	remember(memory, thread, block->address, *out);
	return true;
}

/* Puts @block in. @thread is NULL when its tables and what it remembers must not be touched. */
static bool put_block(struct ml_agent_memory *memory, struct ml_agent_thread *thread,
		      const struct block *block)
{
	uint32_t size = size_word(memory, block);
	struct place place;

	/* That of malloc(0) by thread number 0 is 0 as well. */
	if (!size && block->size)
		return false;
	if (!(thread ? place_of_own(memory, thread, block, &place)
		     : place_new(memory, 0, block, false, &place))) {
		if (size & ML_AGENT_SIZE_LARGE)
			large_free(memory, size);
		return false;
	}
	fill_place(place, block, size);
	return true;
}

KEEPS_REGISTERS __attribute__((noinline)) static bool find_in_region(struct ml_agent_memory *memory,
								     uint32_t own, uint64_t region,
								     uint32_t wanted,
								     struct place *out)
{
	uint32_t table = (uint32_t)region;

	while (table && !find_in_table(memory, table, wanted, out))
		table = table_behind(memory, region, table);
	tell_owner(own, region, out);
	return table;
}

__attribute__((always_inline)) static inline bool
find_place(struct ml_agent_memory *memory, uint32_t own, uint64_t address, struct place *out)
{
	const uint64_t *cell = cell_of(memory, address, false);
	uint64_t region = cell ? __atomic_load_n(cell, __ATOMIC_ACQUIRE) : 0;
	uint32_t wanted = place_key(address);

	if (UNLIKELY(!region))
		return false;
	out->line = line_of(memory, (uint32_t)region, wanted);
	out->i = index_of(out->line, wanted);
	out->table = (uint32_t)region;
	out->is_displaced = false;
	tell_owner(own, region, out);
	return LIKELY(out->i != NOT_THERE) || find_in_region(memory, own, region, wanted, out);
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
		.stack = (key & (ML_AGENT_KEY_SAMPLED - 1)) >> ML_AGENT_KEY_STACK,
		.tid_number = size >> ML_AGENT_SIZE_TID,
		.born = place.line->born[place.i] >> ML_AGENT_BORN_SHIFT,
	};
	if (size & ML_AGENT_SIZE_LARGE) {
		out->size = memory->large[size & (ML_AGENT_LARGE - 1)].size - 1;
		out->stack = memory->large[size & (ML_AGENT_LARGE - 1)].stack;
		out->tid_number = 0;
	}
	if (key & ML_AGENT_KEY_SAMPLED)
		out->stack |= ML_AGENT_STACK_SAMPLED;
	empty_place(memory, address, place);
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

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
 * must be atomic.
 */

/* What a block of a common allocator takes beside its size, about. */
#define MALLOC_HEADER 16u

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
};

static inline uint32_t place_key(uint64_t address)
{
	return ML_AGENT_KEY_USED | ((uint32_t)(address >> 3) & ML_AGENT_KEY_PLACE);
}

static inline bool is_key(uint32_t key, uint32_t wanted)
{
	return (key & (ML_AGENT_KEY_USED | ML_AGENT_KEY_PLACE)) == wanted;
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
static inline uint32_t *cell_of(struct ml_agent_memory *memory, uint64_t address, bool make)
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

/* The line of @table that the block of @key should be in; the other line of its pair will do. */
static inline struct ml_agent_line *line_of(struct ml_agent_memory *memory, uint32_t table,
					    uint32_t key)
{
	uint64_t hash = (uint32_t)(key * 0x9e3779b1u);

	return &memory->lines[ML_AGENT_TABLE_FIRST(table) +
			      (hash >> (32 - ML_AGENT_TABLE_LOG2(table)))];
}

static inline struct ml_agent_line *other_line(struct ml_agent_memory *memory, uint32_t table,
					       struct ml_agent_line *line)
{
	uint32_t i = (uint32_t)(line - memory->lines) - ML_AGENT_TABLE_FIRST(table);

	return ML_AGENT_TABLE_LOG2(table) ? &memory->lines[ML_AGENT_TABLE_FIRST(table) + (i ^ 1)]
					  : line;
}

static inline uint32_t *next_table(struct ml_agent_memory *memory, uint32_t table)
{
	return &memory->lines[ML_AGENT_TABLE_FIRST(table)].next;
}

/* Lines that a region full of blocks of @size needs. */
static inline uint32_t lines_for(uint64_t size)
{
	return (uint32_t)((1u << ML_AGENT_REGION_SHIFT) / (size + MALLOC_HEADER) /
			  ML_AGENT_LINE_BLOCKS) +
	       1;
}

/* log2 of the lines for a new table behind @lines of them, when a block of @size has no place. The
 * first is for what blocks are like here, or at present; the others are not to be much too large.
 */
static uint32_t table_size(const struct ml_agent_memory *memory, uint64_t size, uint32_t lines)
{
	uint32_t wanted = lines_for(size), usual = lines_for(LOAD(memory->mean_size)), log2 = 0;

	if (!lines)
		wanted = wanted < usual ? wanted : usual;
	else if (wanted > 2 * lines)
		wanted = lines;
	else
		wanted = lines / 4;
	while ((1u << log2) < wanted)
		log2++;
	return log2;
}

/* A table at @link, behind @lines of other tables. When another thread was first its table is used,
 * and these lines are lost. */
RARE static bool table_new(struct ml_agent_memory *memory, uint32_t *link, uint64_t size,
			   uint32_t lines)
{
	uint32_t log2 = table_size(memory, size, lines), nothing = 0, first;
	uint32_t mean = LOAD(memory->mean_size);

	/* Only a guess: threads may lose each other's. */
	if (size <= 1u << ML_AGENT_REGION_SHIFT)
		mean = (7 * mean + (uint32_t)size + 7) / 8;
	__atomic_store_n(&memory->mean_size, mean, __ATOMIC_RELAXED);

	if (LOAD(memory->line_count) + (1u << log2) >= memory->line_limit)
		log2 = 0;
	first = __atomic_fetch_add(&memory->line_count, 1u << log2, __ATOMIC_RELAXED) + 1;
	if (first + (1u << log2) > memory->line_limit) {
		__atomic_fetch_sub(&memory->line_count, 1u << log2, __ATOMIC_RELAXED);
		return false;
	}
	__atomic_compare_exchange_n(link, &nothing, ML_AGENT_TABLE(first, log2), false,
				    __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
	return true;
}

static inline bool find_in_line(struct ml_agent_line *line, uint32_t wanted, struct place *out)
{
	for (uint32_t i = 0; i < ML_AGENT_LINE_BLOCKS; i++) {
		if (!is_key(LOAD(line->key[i]), wanted))
			continue;
		*out = (struct place){line, i};
		return true;
	}
	return false;
}

static inline bool find_free(struct ml_agent_line *line, struct place *out)
{
	for (uint32_t i = 0; i < ML_AGENT_LINE_BLOCKS; i++) {
		if (LOAD(line->key[i]))
			continue;
		*out = (struct place){line, i};
		return true;
	}
	return false;
}

/* ---- what a thread remembers of places --------------------------------------------------------
 *
 * Allocators give out what was freed last. So the place of a block that a thread freed stays its
 * own as long as it remembers it, and is taken again without an atomic operation.
 */

/* Chosen by the address's bits 4 to 13, which are the offset. */
static inline struct ml_agent_recent *recent_of(struct ml_agent_memo *memo, uint64_t address)
{
	return (void *)((char *)memo->recent + (address & (sizeof(memo->recent) - 16)));
}

static inline struct place recent_place(struct ml_agent_memory *memory,
					const struct ml_agent_recent *recent)
{
	return (struct place){&memory->lines[recent->place >> 4], recent->place & 15};
}

static inline uint32_t key_at(struct place place)
{
	return LOAD(place.line->key[place.i]);
}

static inline void set_key(struct place place, uint32_t key)
{
	__atomic_store_n(&place.line->key[place.i], key, __ATOMIC_RELEASE);
}

/* Remembers where @address has its block, and lets go of what was remembered in that place. */
static void remember(struct ml_agent_memory *memory, struct ml_agent_thread *thread,
		     uint64_t address, struct place place)
{
	struct ml_agent_recent *recent = recent_of(thread->memo, address);

	if (recent->address && !recent->key) {
		struct place old = recent_place(memory, recent);

		if (key_at(old) == thread->own_key)
			set_key(old, 0);
	}
	recent->address = address;
	recent->place = (uint32_t)(place.line - memory->lines) << 4 | place.i;
	recent->key = 0;
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

/* Books @block at @place, which is taken, and remembers its key unless its size is elsewhere. */
static inline void fill_place(struct place place, struct ml_agent_recent *recent,
			      const struct block *block, uint32_t size)
{
	uint32_t key = place_key(block->address) | block->stack << ML_AGENT_KEY_STACK;

	if (recent)
		recent->key = size & ML_AGENT_SIZE_LARGE ? 0 : key;
	place.line->size[place.i] = size;
	place.line->born[place.i] =
		block->born << ML_AGENT_BORN_SHIFT | ((uint32_t)block->address & 7);
	set_key(place, key);
}

/* Frees @place, or with its key keeps it for a thread. */
static void empty_place(struct ml_agent_memory *memory, struct place place, uint32_t key)
{
	uint32_t size = place.line->size[place.i];

	set_key(place, key);
	if (size & ML_AGENT_SIZE_LARGE)
		large_free(memory, size);
}

/* A place for the block in the tables, which grow for it: its key is taken. One of that address
 * that is there already was freed without our seeing it. */
static bool place_new(struct ml_agent_memory *memory, const struct block *block, struct place *out)
{
	uint32_t *cell = cell_of(memory, block->address, true), wanted = place_key(block->address);

	while (cell) {
		uint32_t table, lines = 0, *link = cell;
		bool is_free = false;

		while ((table = __atomic_load_n(link, __ATOMIC_ACQUIRE))) {
			struct ml_agent_line *line = line_of(memory, table, wanted);
			struct ml_agent_line *other = other_line(memory, table, line);
			struct place found;

			if (UNLIKELY(find_in_line(line, wanted, &found) ||
				     find_in_line(other, wanted, &found)))
				empty_place(memory, found, 0);
			if (!is_free)
				is_free = find_free(line, out) || find_free(other, out);
			lines += 1u << ML_AGENT_TABLE_LOG2(table);
			link = next_table(memory, table);
		}
		if (is_free && claim_place(*out))
			return true;
		if (!is_free && !table_new(memory, link, block->size, lines))
			return false;
	}
	return false;
}

/* Puts @block in. @thread is NULL when what it remembers must not be touched. */
static bool put_block(struct ml_agent_memory *memory, struct ml_agent_thread *thread,
		      const struct block *block)
{
	struct ml_agent_recent *recent = thread ? recent_of(thread->memo, block->address) : NULL;
	uint32_t size = size_word(memory, block);
	struct place place;

	/* That of malloc(0) by thread number 0 is 0 as well. */
	if (!size && block->size)
		return false;
	if (recent && recent->address == block->address) {
		place = recent_place(memory, recent);
		if (key_at(place) == thread->own_key) {
			fill_place(place, recent, block, size);
			return true;
		}
	}
	if (!place_new(memory, block, &place)) {
		if (size & ML_AGENT_SIZE_LARGE)
			large_free(memory, size);
		return false;
	}
	if (thread)
		remember(memory, thread, block->address, place);
	fill_place(place, recent, block, size);
	return true;
}

static bool find_in_tables(struct ml_agent_memory *memory, uint64_t address, struct place *out)
{
	const uint32_t *link = cell_of(memory, address, false);
	uint32_t wanted = place_key(address), table;

	while (link && (table = __atomic_load_n(link, __ATOMIC_ACQUIRE))) {
		struct ml_agent_line *line = line_of(memory, table, wanted);

		if (find_in_line(line, wanted, out) ||
		    find_in_line(other_line(memory, table, line), wanted, out))
			return true;
		link = next_table(memory, table);
	}
	return false;
}

static bool place_find(struct ml_agent_memory *memory, const struct ml_agent_thread *thread,
		       uint64_t address, struct place *out)
{
	const struct ml_agent_recent *recent = thread ? recent_of(thread->memo, address) : NULL;

	if (recent && recent->address == address) {
		*out = recent_place(memory, recent);
		if (is_key(key_at(*out), place_key(address)))
			return true;
	}
	return find_in_tables(memory, address, out);
}

/* Takes the block at @address out and tells what it was; false when it is not there. @thread may
 * be NULL. Freed twice at once is the program's bug. */
static bool take_block(struct ml_agent_memory *memory, struct ml_agent_thread *thread,
		       uint64_t address, struct block *out)
{
	struct place place;
	uint32_t key, size;

	out->address = 0;
	if (!place_find(memory, thread, address, &place))
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
	if (thread)
		remember(memory, thread, address, place);
	empty_place(memory, place, thread ? thread->own_key : 0);
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

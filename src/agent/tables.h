/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * The tables that the agent's books of blocks are kept in, part of agent.c.
 *
 * Blocks are kept by address: a page of cells for 64 MiB, a cell for a region of 64 KiB, tables of
 * lines for a region. The first table has room for a region full of blocks of the size that came
 * first; when it is full another is put behind it, so that nothing ever moves. What lies together
 * in the heap lies together here, which costs fewer cache misses than one hash table of everything,
 * and no memory where there are no blocks.
 */

/* What a block of a common allocator takes beside its size, about. */
#define MALLOC_HEADER 16u
/* So many of them are planned for a line, which has room for some more. */
#define PLANNED_BLOCKS 4u
/* What blocks are like that nobody has seen yet. */
#define GUESSED_SIZE 48u
/* Where the first table is full it does not do to add fewer. */
#define FEW_LINES 16u
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
	uint32_t table;
	bool is_own;       /* nobody but the thread takes places of this table */
	bool is_others;    /* another thread alone does */
	bool is_displaced; /* it is near the line where it should be, which counts it */
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
	uint64_t hash = (uint32_t)((key & ML_AGENT_KEY_PLACE) * memory->line_factor);

	return &memory->lines[ML_AGENT_TABLE_FIRST(table) +
			      (hash >> (32 - ML_AGENT_TABLE_LOG2(table)))];
}

/* A block whose line is full goes to one near it: whose step is at most this. */
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

/* Lines for so many blocks. */
static inline uint32_t lines_of(uint32_t blocks)
{
	return blocks / PLANNED_BLOCKS + !blocks;
}

/* Lines that a region full of blocks of @size needs. */
static inline uint32_t lines_for(uint64_t size)
{
	return lines_of((uint32_t)((1u << ML_AGENT_REGION_SHIFT) / (size + MALLOC_HEADER)));
}

static inline uint32_t usual_lines(const struct ml_agent_memory *memory)
{
	uint32_t mean = LOAD(memory->mean_size);

	return lines_for(mean ? mean : GUESSED_SIZE);
}

/* How many blocks are in the tables from @table on, and of how many lines these are. */
static uint32_t count_blocks(struct ml_agent_memory *memory, uint32_t table, uint32_t *lines)
{
	uint32_t used = 0;

	for (*lines = 0; table; table = next_table(memory, table)) {
		const struct ml_agent_line *line = &memory->lines[ML_AGENT_TABLE_FIRST(table)];
		uint32_t count = 1u << ML_AGENT_TABLE_LOG2(table);

		for (uint32_t i = 0; i < count; i++)
			for (uint32_t k = 0; k < ML_AGENT_LINE_BLOCKS; k++)
				used += LOAD(line[i].key[k]) != 0;
		*lines += count;
	}
	return used;
}

/* Lines for the first table at @cell, where a block of @size comes first: what the blocks of the
 * region before it are like these will be, but that may not be full yet. */
static uint32_t first_lines(struct ml_agent_memory *memory, const uint64_t *cell, uint64_t size)
{
	uint32_t wanted = lines_for(size), usual = usual_lines(memory), lines, used;
	uint64_t before = cell > memory->pages[0] ? LOAD(cell[-1]) : 0;

	if (!before)
		return usual < wanted ? usual : wanted;
	used = count_blocks(memory, (uint32_t)before, &lines);
	/* A little more than there is room for is no reason to double that. */
	usual = lines_of(used - used / 8);
	usual = usual > lines / 4 ? usual : lines / 4;
	return usual < 4 * wanted ? usual : 4 * wanted;
}

/* The same for a table beside those from @table on, where a block has no place: not to be much too
 * large, nor by that block, for where sizes are mixed small ones are no sign of many. But where the
 * others have room elsewhere, small blocks lie close together, and tables that are looked through
 * one behind the other are not to become many, either. */
static uint32_t more_lines(struct ml_agent_memory *memory, uint32_t table)
{
	uint32_t lines, used = count_blocks(memory, table, &lines);

	if (used < 3 * lines)
		lines *= 2;
	else if (usual_lines(memory) <= lines && !next_table(memory, table))
		return lines / 4;
	else if (usual_lines(memory) > 4 * lines)
		lines *= 4;
	return lines > FEW_LINES ? lines : FEW_LINES;
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

	while (log2 && LOAD(memory->line_count) + (1u << log2) >= memory->line_limit)
		log2--;
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

/* Puts @table, with lines of its own only, before the others of the region at @cell. */
RARE static void table_prepend(struct ml_agent_memory *memory, uint64_t *cell, uint32_t table)
{
	struct ml_agent_line *line = &memory->lines[ML_AGENT_TABLE_FIRST(table)];
	uint64_t region = LOAD(*cell), rest;

	do {
		__atomic_store_n(&line->more, (uint32_t)region, __ATOMIC_RELAXED);
		rest = (region & ~(uint64_t)UINT32_MAX) | ML_AGENT_CELL_CHAINED;
	} while (!__atomic_compare_exchange_n(cell, &region, rest | table, false, __ATOMIC_ACQ_REL,
					      __ATOMIC_RELAXED));
}

/* The same behind the last one of them. */
RARE static void table_append(struct ml_agent_memory *memory, uint64_t *cell, uint32_t table,
			      uint64_t flags)
{
	/* Before there is anything behind it. */
	uint64_t region = __atomic_fetch_or(cell, flags | ML_AGENT_CELL_CHAINED, __ATOMIC_ACQ_REL);
	uint32_t *more, old, last = (uint32_t)region;

	do {
		more = &memory->lines[ML_AGENT_TABLE_FIRST(last)].more;
		old = LOAD(*more);
		last = old & ~ML_AGENT_LINE_SPILLED;
	} while (last || !__atomic_compare_exchange_n(more, &old, old | table, false,
						      __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
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

/* One more of the blocks that should be in @line of @table is near it, or one less. */
static void count_spill(struct ml_agent_memory *memory, uint32_t table, struct ml_agent_line *line,
			bool is_one_more)
{
	bool is_first = line == &memory->lines[ML_AGENT_TABLE_FIRST(table)];
	uint32_t old = LOAD(line->more), new;

	do {
		bool is_full = (old & ML_AGENT_LINE_SPILLED) == ML_AGENT_LINE_SPILLED;

		if (is_full && is_first)
			return;
		if (is_one_more)
			new = old + (is_full ? ML_AGENT_LINE_SPILLED + 1 : 1);
		else if (is_full && old > ML_AGENT_LINE_SPILLED)
			new = old - (ML_AGENT_LINE_SPILLED + 1);
		else if (old & ML_AGENT_LINE_SPILLED)
			new = old - 1;
		else
			return;
	} while (!__atomic_compare_exchange_n(&line->more, &old, new, false, __ATOMIC_RELEASE,
					      __ATOMIC_RELAXED));
}

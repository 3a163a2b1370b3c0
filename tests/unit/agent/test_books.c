/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * The agent's books of blocks: whatever is allocated and freed, by whom and how close together,
 * they say what lives, each block once, and what was displaced is counted as long as it is.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "own_agent.h"

#define BLOCKS 6000u
#define ROUNDS 300000u

/* Made-up blocks, and which of them live with what size. */
static struct {
	uint64_t address;
	uint32_t size; /* 0: it is free */
} blocks[BLOCKS];
static uint64_t live;
/* Who gives out blocks is one after the other: what comes next is told by a global. */
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

/* One that lives was freed unseen before. */
static void take(uint32_t i, uint32_t size)
{
	live += !blocks[i].size;
	blocks[i].size = size;
	bench_next = (void *)blocks[i].address;
	bench_malloc(size);
}

/* Another thread may have taken it since the caller saw that it is free. */
static void take_free(uint32_t i, uint32_t size)
{
	pthread_mutex_lock(&turn);
	if (!blocks[i].size)
		take(i, size);
	pthread_mutex_unlock(&turn);
}

static void give(uint32_t i)
{
	pthread_mutex_lock(&turn);
	if (blocks[i].size) {
		blocks[i].size = 0;
		live--;
		bench_free((void *)blocks[i].address);
	}
	pthread_mutex_unlock(&turn);
}

/* ---- what the books say -----------------------------------------------------------------------
 */

static uint32_t block_at(uint64_t address)
{
	for (uint32_t i = 0; i < BLOCKS; i++)
		if (blocks[i].address == address)
			return i;
	fail_msg("0x%lx is nobody's block", (unsigned long)address);
	return 0;
}

/* Every block of @line, which belongs to the region from @start on, lives and comes first here. */
static uint32_t check_line(const struct ml_agent_line *line, uint64_t start, bool *seen)
{
	uint32_t n = 0;

	for (uint32_t k = 0; k < ML_AGENT_LINE_BLOCKS; k++) {
		uint64_t place = (uint64_t)(line->key[k] & ML_AGENT_KEY_PLACE) << 3;
		uint32_t i;

		if (!line->key[k])
			continue;
		i = block_at(start | place | (line->born[k] & 7));
		assert_false(seen[i]);
		assert_int_equal(line->size[k] & (ML_AGENT_LARGE_BYTES - 1), blocks[i].size);
		assert_int_not_equal(blocks[i].size, 0);
		seen[i] = true;
		n++;
	}
	return n;
}

/* Calls @each for all lines of all tables, with the region's start; the sum of what it gives. */
static uint64_t go_through(uint32_t (*each)(const struct ml_agent_line *line, uint64_t start,
					    bool *seen))
{
	static bool seen[BLOCKS];
	uint64_t n = 0;

	memset(seen, 0, sizeof(seen));
	for (uint32_t i = 1; i <= memory->page_count; i++)
		for (uint32_t k = 0; k < ML_AGENT_PAGE_REGIONS; k++) {
			uint32_t table = (uint32_t)memory->pages[i][k], first;

			for (; table; table = memory->lines[first].more & ~ML_AGENT_LINE_SPILLED) {
				first = ML_AGENT_TABLE_FIRST(table);
				for (uint32_t j = 0; j < 1u << ML_AGENT_TABLE_LOG2(table); j++)
					n += each(&memory->lines[first + j],
						  (uint64_t)memory->page_tops[i]
								  << ML_AGENT_PAGE_SHIFT |
							  (uint64_t)k << ML_AGENT_REGION_SHIFT,
						  seen);
			}
		}
	return n;
}

static void check_books(void)
{
	assert_int_equal(go_through(check_line), live);
}

/* Counts that reached a first line's highest stay there; of others nothing is left. */
static uint32_t is_counted(const struct ml_agent_line *line, uint64_t start, bool *seen)
{
	uint32_t spilled = line->more & ML_AGENT_LINE_SPILLED;

	(void)start;
	(void)seen;
	return spilled && spilled != ML_AGENT_LINE_SPILLED;
}

static void check_nothing_left(void)
{
	for (uint32_t i = 0; i < BLOCKS; i++)
		give(i);
	check_books();
	assert_int_equal(go_through(is_counted), 0);
}

/* ---- programs ---------------------------------------------------------------------------------
 */

/* Tables that overflow must have been met, or the test shows nothing. */
static uint32_t regions_with(uint64_t flags)
{
	uint32_t n = 0;

	for (uint32_t i = 1; i <= memory->page_count; i++)
		for (uint32_t k = 0; k < ML_AGENT_PAGE_REGIONS; k++)
			n += (memory->pages[i][k] & flags) == flags;
	return n;
}

static void place_blocks(uint64_t first, uint64_t spacing)
{
	for (uint32_t i = 0; i < BLOCKS; i++)
		blocks[i].address = (uint64_t)address_of(0, 0) + first + i * spacing;
}

static void churn(unsigned int seed, uint32_t size)
{
	for (uint32_t n = 0; n < ROUNDS; n++) {
		uint32_t i = (uint32_t)rand_r(&seed) % BLOCKS;

		/* Few and many live, in turn. */
		if (blocks[i].size && rand_r(&seed) % (n / 50000 % 2 ? 2 : 1) == 0)
			give(i);
		else if (!blocks[i].size)
			take_free(i, size);
	}
}

static void *churn_beside(void *seed)
{
	churn((unsigned int)(uintptr_t)seed, 24);
	return NULL;
}

static void run_alone(uint32_t spacing)
{
	/* A large one first: there is far too little room for what follows. */
	place_blocks(0x1000000ull * spacing, spacing);
	take(0, 60000);
	churn(1, 24);
	check_books();
	check_nothing_left();
	churn(2, 40);
	check_books();
	/* Freed unseen, and given out again. */
	for (uint32_t i = 0; i < BLOCKS; i++)
		take(i, 72);
	check_books();
	check_nothing_left();
}

static void run_two(uint32_t spacing)
{
	pthread_t other;

	place_blocks(0x40000000ull + 0x1000000ull * spacing, spacing);
	assert_int_equal(pthread_create(&other, NULL, churn_beside, (void *)3), 0);
	churn(4, 40);
	assert_int_equal(pthread_join(other, NULL), 0);
	check_books();
	check_nothing_left();
}

static void test_blocks_close_together(void **state)
{
	(void)state;
	bench_outermost(16, run_alone);
	assert_int_not_equal(regions_with(ML_AGENT_CELL_CHAINED), 0);
}

static void test_blocks_at_odd_places(void **state)
{
	(void)state;
	bench_outermost(40, run_alone);
	bench_outermost(33, run_alone);
}

static void test_blocks_far_apart(void **state)
{
	(void)state;
	bench_outermost(1008, run_alone);
}

static void test_two_threads(void **state)
{
	(void)state;
	bench_outermost(16, run_two);
	assert_int_not_equal(regions_with(ML_AGENT_CELL_MIXED), 0);
	bench_outermost(200, run_two);
}

static void run_short_of_room(uint32_t lines)
{
	memory->line_limit = lines;
	place_blocks(0, 48);
	churn(5, 24);
	/* Some blocks were lost, which is counted; what is booked is right. */
	assert_true(go_through(check_line) < live);
	assert_int_not_equal(memory->counters[ML_COUNTER_LIVE_TABLE_FULL], 0);
	assert_true(memory->line_count < lines);
	for (uint32_t i = 0; i < BLOCKS; i++)
		give(i);
	assert_int_equal(go_through(check_line), 0);
}

static void test_no_room(void **state)
{
	(void)state;
	bench_outermost(300, run_short_of_room);
}

/* Lines by hash, as for allocators of slabs. */
static void test_spread(void **state)
{
	(void)state;
	memory->line_factor = ML_AGENT_LINES_SPREAD;
	bench_outermost(16, run_alone);
	assert_int_not_equal(regions_with(ML_AGENT_CELL_CHAINED), 0);
	bench_outermost(1008, run_alone);
	bench_outermost(16, run_two);
}

/* How many places the thread that remembers most does. */
static uint32_t most_remembered(void)
{
	uint32_t mask = 0;

	for (uint32_t i = 0; i < ML_AGENT_THREADS; i++)
		if (memory->threads[i].recent_mask > mask)
			mask = memory->threads[i].recent_mask;
	return mask / 8 + 1;
}

static void run_one(uint32_t block)
{
	place_blocks(0, 48);
	for (uint32_t n = 0; n < ROUNDS; n++) {
		take(block, 24);
		give(block);
	}
	check_books();
}

/* Who frees many blocks whose places are forgotten remembers more, unless all together have enough.
 */
static void test_more_places(void **state)
{
	(void)state;
	bench_outermost(7, run_one);
	assert_int_equal(most_remembered(), ML_AGENT_RECENT_FIRST);
	memory->recent_count = ML_AGENT_RECENT_ALL;
	bench_outermost(64, run_alone);
	assert_int_equal(most_remembered(), ML_AGENT_RECENT_FIRST);
	memory->recent_count = 0;
	bench_outermost(64, run_alone);
	assert_int_equal(most_remembered(), ML_AGENT_RECENT);
	assert_int_equal(memory->recent_count, ML_AGENT_RECENT - ML_AGENT_RECENT_FIRST);
}

static int set_up(void **state)
{
	(void)state;
	live = 0;
	return begin();
}

static int tear_down(void **state)
{
	(void)state;
	return unload();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_blocks_close_together, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_blocks_at_odd_places, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_blocks_far_apart, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_two_threads, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_room, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_spread, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_more_places, set_up, tear_down),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

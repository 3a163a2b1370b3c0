/* SPDX-License-Identifier: BSD-2-Clause */
/** The search in this very process, with blocks made by mmap and pointers put where we want them.
 */
#include "heap/reach.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define SIZE (1u << 20)

static struct ml_process *process;
/* Written over again before each search, so that only what a test puts there leads to a block. */
static volatile uintptr_t root;

/* A region no pointer to which is left anywhere: its address is kept inverted. */
static uintptr_t hidden_region(void)
{
	void *memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_true(memory != MAP_FAILED);
	return ~(uintptr_t)memory;
}

static void put(uintptr_t hidden, size_t offset, uintptr_t word)
{
	*(volatile uintptr_t *)(~hidden + offset) = word;
}

/* Marks blocks at @offsets of a region; bit i of the result: the ith was reached. All of the
 * region is one block or another. */
static unsigned int mark(uintptr_t hidden, const size_t *offsets, size_t count)
{
	ml_reach_blocks blocks = {0};
	const struct ml_reach_roots roots = {0};
	unsigned int reached = 0;

	for (size_t i = 0; i < count; i++) {
		uint64_t end = i + 1 < count ? offsets[i + 1] : SIZE;

		/* The search must not find its own list. */
		*ml_array_push(&blocks) = (struct ml_reach_block){
			.address = ~hidden + offsets[i], .size = end - offsets[i], .tag = i};
	}
	/* This list itself is full of pointers: it is read from a child that has a copy without. */
	assert_null(ml_reach_mark(process, &roots, &blocks));
	ml_array_each (block, &blocks)
		reached |= (unsigned int)block->is_reached << block->tag;
	ml_array_free(&blocks);
	return reached;
}

static void test_chain(void **state)
{
	const size_t offsets[] = {0, 4096, 8192, 12288};
	uintptr_t hidden = (uintptr_t)*state;

	assert_int_equal(mark(hidden, offsets, 4), 0x7);
}

static void test_no_blocks(void **state)
{
	ml_reach_blocks blocks = {0};
	const struct ml_reach_roots roots = {0};

	assert_null(ml_reach_mark(process, &roots, &blocks));
}

/* Block 0 is pointed to by a variable, into its middle; it points to the end of block 1, which
 * points to 2; block 3 points to itself and to 0. */
static pid_t start_child(uintptr_t *hidden)
{
	*hidden = hidden_region();
	put(*hidden, 8, ~*hidden + 8191);
	put(*hidden, 4096 + 2048, ~*hidden + 8192);
	put(*hidden, 12288, ~*hidden + 12288 + 64);
	put(*hidden, 12296, ~*hidden);
	root = ~*hidden + 100;

	pid_t child = fork();

	if (!child) {
		for (;;)
			pause();
	}
	return child;
}

int main(void)
{
	uintptr_t hidden;
	pid_t child = start_child(&hidden);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_prestate(test_chain, (void *)hidden),
		cmocka_unit_test(test_no_blocks),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	if (child < 0 || ml_process_open(child, &process))
		return 1;
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	ml_process_close(process);
	kill(child, SIGKILL);
	return failed;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/** The books in an agent's memory in which the target has written what cannot be. */
#include "trace/agent_books.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define LINES 1024u
#define PID   4321

static const struct ml_snapshot_filter everything = {.want_ages = true, .want_blocks = true};

struct fixture {
	struct ml_agent_books books;
	size_t size;
};

static int set_up(void **state)
{
	struct fixture *fixture = ml_alloc(sizeof(*fixture));
	int fd = memfd_create("books", MFD_CLOEXEC);

	fixture->size = sizeof(struct ml_agent_memory) + LINES * sizeof(struct ml_agent_line);
	assert_int_equal(ftruncate(fd, (off_t)fixture->size), 0);
	fixture->books = (struct ml_agent_books){.fd = fd, .pid = PID, .lines = LINES, .index = 3};
	fixture->books.memory =
		mmap(NULL, fixture->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(fixture->books.memory, MAP_FAILED);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	munmap(fixture->books.memory, fixture->size);
	close(fixture->books.fd);
	ml_agent_books_forget(&fixture->books);
	free(fixture);
	return 0;
}

/* Pages of the file that are there. */
static long resident(const struct fixture *fixture)
{
	off_t end = 0, data, hole;
	long pages = 0;

	while ((data = lseek(fixture->books.fd, end, SEEK_DATA)) >= 0) {
		hole = lseek(fixture->books.fd, data, SEEK_HOLE);
		pages += (hole - data) / (long)ML_AGENT_PAGE;
		end = hole;
	}
	return pages;
}

static void fill_line(struct ml_agent_memory *memory, uint32_t line)
{
	for (uint32_t i = 0; i < ML_AGENT_LINE_BLOCKS; i++) {
		memory->lines[line].key[i] =
			ML_AGENT_KEY_USED | 7u << ML_AGENT_KEY_STACK | (line * 8 + i);
		memory->lines[line].size[i] = 10;
	}
}

static size_t count_blocks(const struct ml_agent_books *books)
{
	struct ml_snapshot snapshot = {0};
	size_t count;

	ml_agent_books_snapshot(books, &everything, NULL, &snapshot);
	count = snapshot.blocks.count;
	ml_snapshot_deinit(&snapshot);
	return count;
}

static void tables_that_share_lines_count_once(void **state)
{
	struct fixture *fixture = *state;
	struct ml_agent_memory *memory = fixture->books.memory;

	for (uint32_t i = 0; i < 64; i++)
		fill_line(memory, i);
	for (uint32_t i = 0; i < ML_AGENT_PAGE_REGIONS; i++)
		memory->pages[1][i] = ML_AGENT_TABLE(0, 6, 0);
	assert_int_equal(count_blocks(&fixture->books), 64 * ML_AGENT_LINE_BLOCKS);
}

static void circles_end(void **state)
{
	struct fixture *fixture = *state;
	struct ml_agent_memory *memory = fixture->books.memory;

	fill_line(memory, 8);
	memory->lines[8].more = ML_AGENT_TABLE(8, 0, 0);
	memory->pages[1][5] = ML_AGENT_TABLE(8, 0, 0);
	assert_int_equal(count_blocks(&fixture->books), ML_AGENT_LINE_BLOCKS);
}

static void tables_beyond_the_end_are_not_read(void **state)
{
	struct fixture *fixture = *state;
	struct ml_agent_memory *memory = fixture->books.memory;

	memory->header.size = UINT64_MAX;
	memory->pages[1][0] = ML_AGENT_TABLE(LINES, 0, 0);
	memory->pages[1][1] = ML_AGENT_TABLE(LINES - 1, 1, 0);
	memory->pages[1][2] = UINT64_MAX;
	memory->pages[1][3] = ML_AGENT_TABLE(0, 15, 0);
	memory->page_count = UINT32_MAX;
	fill_line(memory, LINES - 1);
	assert_int_equal(count_blocks(&fixture->books), 0);
}

/* What the target only says it has used would be filled with zeros by reading it. */
static void what_was_never_written_is_not_read(void **state)
{
	struct fixture *fixture = *state;
	struct ml_agent_memory *memory = fixture->books.memory;
	long before;

	for (uint32_t i = 0; i < LINES; i++)
		memory->pages[1][i] = ML_AGENT_TABLE(i, 0, 0);
	memory->page_count = ML_AGENT_PAGES;
	for (uint32_t i = 0; i < ML_AGENT_THREADS; i++) {
		memory->threads[i].pointer = 1;
		memory->threads[i].trace_pages = memory->threads[i].python_pages = UINT32_MAX;
	}
	before = resident(fixture);
	assert_int_equal(count_blocks(&fixture->books), 0);
	assert_in_range(resident(fixture), before, before + 64);
}

static void blocks_belong_to_the_process(void **state)
{
	struct fixture *fixture = *state;
	struct ml_agent_memory *memory = fixture->books.memory;
	struct ml_snapshot snapshot = {0};

	fill_line(memory, 1);
	memory->pages[1][0] = ML_AGENT_TABLE(1, 0, 0);
	memory->tgid = 1;
	ml_agent_books_snapshot(&fixture->books, &everything, NULL, &snapshot);
	assert_int_equal(snapshot.blocks.count, ML_AGENT_LINE_BLOCKS);
	ml_array_each (block, &snapshot.blocks)
		assert_int_equal(block->pid, PID);
	ml_snapshot_deinit(&snapshot);
}

/* The tool counts what it has read; events are the process's own, of stacks that can be. */
static void events_are_taken_in_their_order(void **state)
{
	struct fixture *fixture = *state;
	struct ml_agent_memory *memory = fixture->books.memory;
	struct ml_map_event event;

	memory->map_events[0] = (struct ml_agent_map_event){1, {.stack = 7 + 1, .tgid = 1}};
	memory->map_events[1] = (struct ml_agent_map_event){2, {.stack = UINT64_MAX, .tgid = 1}};
	memory->map_event_tail = UINT64_MAX;
	assert_true(ml_agent_books_next_map(&fixture->books, &event));
	assert_int_equal(event.tgid, PID);
	assert_int_equal(event.stack, (3ull << 32 | 7) + 1);
	memory->map_event_tail = 0;
	assert_true(ml_agent_books_next_map(&fixture->books, &event));
	assert_int_equal(event.stack, (3ull << 32) + 1);
	memory->map_event_tail = 0;
	assert_false(ml_agent_books_next_map(&fixture->books, &event));
}

static void stacks_lead_in_no_circles(void **state)
{
	struct fixture *fixture = *state;
	struct ml_agent_memory *memory = fixture->books.memory;
	struct ml_stack_record record;
	struct ml_python_record python;

	memory->stacks[1] = (struct ml_agent_stack){.count = 9, .own = 0, .outer = 2};
	memory->stacks[2] = (struct ml_agent_stack){.count = 9, .own = 0, .outer = 1};
	memory->stacks[3] = (struct ml_agent_stack){.count = 9, .own = 9, .first = UINT32_MAX};
	memory->stacks[4] = (struct ml_agent_stack){.count = UINT16_MAX, .own = UINT16_MAX};
	memory->stacks[5] = (struct ml_agent_stack){.count = 1, .own = 1, .first = 0};
	for (uint64_t i = 1; i < 5; i++)
		assert_false(ml_agent_books_stack(&fixture->books, (3ull << 32 | i) + 1, &record,
						  &python));
	assert_true(ml_agent_books_stack(&fixture->books, (3ull << 32 | 5) + 1, &record, &python));
	assert_int_equal(record.tgid, PID);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(tables_that_share_lines_count_once), TEST(circles_end),
		TEST(tables_beyond_the_end_are_not_read), TEST(what_was_never_written_is_not_read),
		TEST(blocks_belong_to_the_process),       TEST(events_are_taken_in_their_order),
		TEST(stacks_lead_in_no_circles),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

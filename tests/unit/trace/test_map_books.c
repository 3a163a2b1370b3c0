/* SPDX-License-Identifier: BSD-2-Clause */
/** The books of mappings against a model that has one entry a page. */
#include "trace/map_books.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PAGE        4096ull
#define BASE        0x7f0000000000ull
#define MODEL_PAGES 64
#define STACKS      5

static uint64_t now_ns = 1;

static struct ml_map_event event(uint32_t role, uint64_t page, uint64_t pages, uint64_t stack)
{
	return (struct ml_map_event){
		.time_ns = now_ns++,
		.address = BASE + page * PAGE,
		.length = pages * PAGE,
		.stack = stack,
		.tgid = 7,
		.role = role,
	};
}

static struct ml_snapshot look(struct ml_map_books *books)
{
	struct ml_snapshot snapshot = {.time_ns = now_ns};
	struct ml_snapshot_filter filter = {.want_ages = true, .want_blocks = true};

	ml_map_books_settle(books);
	ml_map_books_snapshot(books, &filter, &snapshot);
	return snapshot;
}

static uint64_t live_bytes(const struct ml_snapshot *snapshot, uint64_t stack)
{
	for (size_t i = 0; i < snapshot->sites.count; i++)
		if (snapshot->sites.items[i].stack == stack)
			return snapshot->sites.items[i].live_bytes;
	return 0;
}

static void add(struct ml_map_books *books, struct ml_map_event what)
{
	ml_map_books_add(books, &what);
}

/* A hole in the middle leaves two pieces; both count, one allocation, nothing freed whole. */
static void partial_unmap_leaves_the_rest(void **state)
{
	struct ml_map_books *books = ml_map_books_create();

	add(books, event(ML_ROLE_MMAP, 0, 10, 100));
	add(books, event(ML_ROLE_MUNMAP, 4, 2, 0));
	add(books, event(ML_ROLE_MUNMAP, 0, 1, 0));

	struct ml_snapshot snapshot = look(books);

	assert_int_equal(live_bytes(&snapshot, 100), 7 * PAGE);
	assert_int_equal(snapshot.sites.count, 1);
	assert_int_equal(snapshot.sites.items[0].allocs, 1);
	assert_int_equal(snapshot.sites.items[0].alloc_bytes - snapshot.sites.items[0].free_bytes,
			 7 * PAGE);
	assert_int_equal(snapshot.blocks.count, 2);
	ml_snapshot_deinit(&snapshot);
	ml_map_books_destroy(books);
}

static void fixed_overlay_replaces(void **state)
{
	struct ml_map_books *books = ml_map_books_create();

	add(books, event(ML_ROLE_MMAP, 0, 10, 100));
	add(books, event(ML_ROLE_MMAP, 2, 3, 200));

	struct ml_snapshot snapshot = look(books);

	assert_int_equal(live_bytes(&snapshot, 100), 7 * PAGE);
	assert_int_equal(live_bytes(&snapshot, 200), 3 * PAGE);
	ml_snapshot_deinit(&snapshot);
	ml_map_books_destroy(books);
}

static void mremap_moves_and_grows(void **state)
{
	struct ml_map_books *books = ml_map_books_create();
	struct ml_map_event move = event(ML_ROLE_MREMAP, 40, 20, 300);

	add(books, event(ML_ROLE_MMAP, 0, 10, 100));
	move.time_ns = now_ns++;
	move.old_address = BASE;
	move.old_length = 10 * PAGE;
	add(books, move);

	struct ml_snapshot snapshot = look(books);

	assert_int_equal(live_bytes(&snapshot, 100), 0);
	assert_int_equal(live_bytes(&snapshot, 300), 20 * PAGE);
	ml_snapshot_deinit(&snapshot);
	ml_map_books_destroy(books);
}

static void events_are_applied_by_time(void **state)
{
	struct ml_map_books *books = ml_map_books_create();
	struct ml_map_event first = event(ML_ROLE_MMAP, 0, 4, 100);
	struct ml_map_event gone = event(ML_ROLE_MUNMAP, 0, 4, 0);
	struct ml_map_event again = event(ML_ROLE_MMAP, 0, 4, 200);

	add(books, again);
	add(books, gone);
	add(books, first);

	struct ml_snapshot snapshot = look(books);

	assert_int_equal(live_bytes(&snapshot, 100), 0);
	assert_int_equal(live_bytes(&snapshot, 200), 4 * PAGE);
	ml_snapshot_deinit(&snapshot);
	ml_map_books_destroy(books);
}

static void unknown_unmaps_are_counted(void **state)
{
	struct ml_map_books *books = ml_map_books_create();

	add(books, event(ML_ROLE_MUNMAP, 0, 4, 0));

	struct ml_snapshot snapshot = look(books);

	assert_int_equal(snapshot.untracked_frees, 1);
	assert_int_equal(snapshot.sites.count, 0);
	ml_snapshot_deinit(&snapshot);
	ml_map_books_destroy(books);
}

/* What a static program's malloc() maps for itself is nobody's allocation, and no unknown one. */
static void mappings_of_the_library_are_not_booked(void **state)
{
	struct ml_map_books *books = ml_map_books_create();
	struct ml_map_event own = event(ML_ROLE_MMAP, 0, 8, 100);
	struct ml_map_event grown = event(ML_ROLE_MREMAP, 16, 16, 100);

	own.is_library = grown.is_library = 1;
	grown.old_address = own.address;
	grown.old_length = own.length;
	add(books, own);
	add(books, grown);
	add(books, event(ML_ROLE_MMAP, 40, 2, 200));
	add(books, event(ML_ROLE_MUNMAP, 16, 8, 0));
	add(books, event(ML_ROLE_MUNMAP, 24, 8, 0));
	own = event(ML_ROLE_MUNMAP, 50, 1, 0);
	own.is_library = 1;
	add(books, own);

	struct ml_snapshot snapshot = look(books);

	assert_int_equal(snapshot.untracked_frees, 0);
	assert_int_equal(snapshot.allocs, 1);
	assert_int_equal(snapshot.frees, 0);
	assert_int_equal(live_bytes(&snapshot, 100), 0);
	assert_int_equal(live_bytes(&snapshot, 200), 2 * PAGE);
	ml_snapshot_deinit(&snapshot);
	ml_map_books_destroy(books);
}

static void forgetting_leaves_other_processes(void **state)
{
	struct ml_map_books *books = ml_map_books_create();
	struct ml_map_event other = event(ML_ROLE_MMAP, 0, 4, 200);

	other.tgid = 8;
	add(books, event(ML_ROLE_MMAP, 0, 4, 100));
	add(books, other);
	ml_map_books_forget(books, 7);

	struct ml_snapshot snapshot = look(books);

	assert_int_equal(snapshot.sites.count, 1);
	assert_int_equal(live_bytes(&snapshot, 200), 4 * PAGE);
	ml_snapshot_deinit(&snapshot);
	ml_map_books_destroy(books);
}

/* What each page of the model belongs to: 0 or a stack. */
static void model_step(struct ml_map_books *books, uint64_t *model)
{
	uint64_t page = (uint64_t)rand() % MODEL_PAGES;
	uint64_t pages = 1 + (uint64_t)rand() % (MODEL_PAGES - page);
	bool maps = rand() % 2;
	uint64_t stack = maps ? 100 + (uint64_t)rand() % STACKS : 0;

	add(books, event(maps ? ML_ROLE_MMAP : ML_ROLE_MUNMAP, page, pages, stack));
	for (uint64_t i = page; i < page + pages; i++)
		model[i] = stack;
}

static void agrees_with_a_model(void **state)
{
	struct ml_map_books *books = ml_map_books_create();
	uint64_t model[MODEL_PAGES] = {0};

	srand(23);
	for (int round = 0; round < 2000; round++) {
		model_step(books, model);

		struct ml_snapshot snapshot = look(books);

		for (uint64_t stack = 100; stack < 100 + STACKS; stack++) {
			uint64_t pages = 0;

			for (int i = 0; i < MODEL_PAGES; i++)
				pages += model[i] == stack;
			assert_int_equal(live_bytes(&snapshot, stack), pages * PAGE);
		}
		ml_snapshot_deinit(&snapshot);
	}
	ml_map_books_destroy(books);
}

/* Also when no report is made for long. */
static void many_events_do_not_wait(void **state)
{
	struct ml_map_books *books = ml_map_books_create();
	struct ml_snapshot snapshot = {.time_ns = now_ns};
	const struct ml_snapshot_filter filter = {.want_ages = true};

	(void)state;
	for (int i = 0; i < 100000; i++) {
		add(books, event(ML_ROLE_MMAP, 0, 1, 2));
		add(books, event(ML_ROLE_MUNMAP, 0, 1, 0));
	}
	/* Not settled by us. */
	ml_map_books_snapshot(books, &filter, &snapshot);
	assert_in_range(snapshot.allocs, 50000, 100000);
	ml_snapshot_deinit(&snapshot);
	ml_map_books_destroy(books);
}

/* Of a process that unmaps by system calls of its own. */
static void mappings_beyond_the_limit_are_counted(void **state)
{
	const uint64_t limit = 262144;
	struct ml_map_books *books = ml_map_books_create();
	struct ml_snapshot snapshot;

	(void)state;
	for (uint64_t i = 0; i < limit + 10; i++)
		add(books, event(ML_ROLE_MMAP, 2 * i, 1, 2));
	snapshot = look(books);
	assert_int_equal(snapshot.allocs, limit);
	assert_int_equal(snapshot.counters[ML_COUNTER_MAP_EVENTS_LOST], 10);
	ml_snapshot_deinit(&snapshot);
	ml_map_books_destroy(books);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(partial_unmap_leaves_the_rest),
		cmocka_unit_test(fixed_overlay_replaces),
		cmocka_unit_test(mremap_moves_and_grows),
		cmocka_unit_test(events_are_applied_by_time),
		cmocka_unit_test(unknown_unmaps_are_counted),
		cmocka_unit_test(mappings_of_the_library_are_not_booked),
		cmocka_unit_test(forgetting_leaves_other_processes),
		cmocka_unit_test(agrees_with_a_model),
		cmocka_unit_test(many_events_do_not_wait),
		cmocka_unit_test(mappings_beyond_the_limit_are_counted),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

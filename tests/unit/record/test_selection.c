/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/clock.h"
#include "record/selection.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define SECOND ML_NS_PER_SECOND

static void add_site(struct ml_snapshot *snapshot, uint64_t stack, uint64_t bytes, uint64_t count)
{
	*ml_array_push(&snapshot->sites) = (struct ml_site_books){
		.stack = stack,
		.shown_bytes = bytes,
		.shown_count = count,
		.oldest_born_ns = 90 * SECOND,
	};
}

static void add_block(struct ml_snapshot *snapshot, uint64_t stack, uint64_t size, uint64_t born_ns)
{
	*ml_array_push(&snapshot->blocks) =
		(struct ml_block){.stack = stack, .size = size, .born_ns = born_ns};
}

static uint64_t shown(const struct ml_snapshot *snapshot, size_t i)
{
	return snapshot->sites.items[i].shown_bytes;
}

/* Single blocks are chosen exactly. */
static void by_blocks(void **state)
{
	struct ml_snapshot then = {.time_ns = 95 * SECOND};
	struct ml_snapshot snapshot = {.time_ns = 100 * SECOND};
	struct ml_selection selection = {.since = &then, .has_blocks = true};

	add_site(&snapshot, 1, 300, 3);
	add_block(&snapshot, 1, 50, 94 * SECOND);
	add_block(&snapshot, 1, 100, 95 * SECOND);
	add_block(&snapshot, 1, 150, 99 * SECOND);
	ml_selection_apply(&selection, &snapshot);
	assert_int_equal(shown(&snapshot, 0), 250);
	assert_int_equal(snapshot.blocks.count, 2);

	selection = (struct ml_selection){.older_ns = 2 * SECOND, .has_blocks = true};
	ml_selection_apply(&selection, &snapshot);
	assert_int_equal(shown(&snapshot, 0), 100);
	selection = (struct ml_selection){.min_size = 101, .has_blocks = true};
	ml_selection_apply(&selection, &snapshot);
	assert_int_equal(shown(&snapshot, 0), 0);
	ml_snapshot_deinit(&snapshot);
}

/* Without them, by sites. */
static void by_sites(void **state)
{
	struct ml_snapshot then = {.time_ns = 95 * SECOND};
	struct ml_snapshot snapshot = {.time_ns = 100 * SECOND};
	struct ml_selection selection = {.since = &then};

	add_site(&then, 1, 100, 1);
	add_site(&then, 2, 900, 9);
	add_site(&snapshot, 3, 30, 3);
	add_site(&snapshot, 2, 800, 10); /* shrunk, in more blocks */
	add_site(&snapshot, 1, 300, 3);
	ml_selection_apply(&selection, &snapshot);
	assert_int_equal(shown(&snapshot, 0), 30);
	assert_int_equal(shown(&snapshot, 1), 0);
	assert_int_equal(snapshot.sites.items[1].shown_count, 1);
	assert_int_equal(shown(&snapshot, 2), 200);

	selection = (struct ml_selection){.min_size = 11};
	ml_selection_apply(&selection, &snapshot);
	assert_int_equal(shown(&snapshot, 0), 0);
	assert_int_equal(shown(&snapshot, 2), 200);
	selection = (struct ml_selection){.older_ns = 11 * SECOND};
	ml_selection_apply(&selection, &snapshot);
	assert_int_equal(shown(&snapshot, 2), 0);
	ml_snapshot_deinit(&then);
	ml_snapshot_deinit(&snapshot);
}

static void all(void **state)
{
	struct ml_snapshot snapshot = {0}, copy = {0};
	struct ml_selection selection = {0};

	assert_false(ml_selection_is_choosy(&selection));
	add_site(&snapshot, 1, 300, 3);
	add_block(&snapshot, 1, 300, 1);
	ml_selection_apply(&selection, &snapshot);
	assert_int_equal(shown(&snapshot, 0), 300);
	ml_selection_copy_sites(&snapshot, &copy);
	assert_int_equal(shown(&copy, 0), 300);
	assert_int_equal(copy.blocks.count, 0);
	ml_snapshot_deinit(&snapshot);
	ml_snapshot_deinit(&copy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_blocks),
		cmocka_unit_test(by_sites),
		cmocka_unit_test(all),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

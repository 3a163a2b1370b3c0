/* SPDX-License-Identifier: BSD-2-Clause */
#include "model/growing.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define SECOND ML_NS_PER_SECOND

enum { LIST = 1, BUFFER, OLD_LIST };

/* One block, made anew 50 times a second: of @bytes, and @age_ns old. */
static void add_site(struct ml_snapshot *snapshot, uint64_t stack, uint64_t bytes, uint64_t age_ns)
{
	uint64_t allocs = 50 * (snapshot->time_ns / SECOND);

	*ml_array_push(&snapshot->sites) = (struct ml_site_books){
		.stack = stack,
		.allocs = allocs,
		.frees = allocs - 1,
		.live_bytes = bytes,
		.live_count = 1,
		.oldest_born_ns = snapshot->time_ns - age_ns,
		.newest_born_ns = snapshot->time_ns - age_ns,
	};
}

/* A list that is made longer, a buffer of one size, and a list that was made longer a while ago,
 * after 20 seconds: which of them @filter shows, as bits. */
static unsigned int shown(const struct ml_snapshot_filter *filter)
{
	struct ml_timeline *timeline = ml_timeline_create(0);
	struct ml_snapshot snapshot = {0};
	unsigned int bits = 0;

	for (uint64_t second = 1; second <= 20; second++) {
		ml_snapshot_deinit(&snapshot);
		snapshot = (struct ml_snapshot){.time_ns = second * SECOND};
		add_site(&snapshot, LIST, 400 * second, 7 * ML_NS_PER_MS);
		add_site(&snapshot, BUFFER, 400, 7 * ML_NS_PER_MS);
		add_site(&snapshot, OLD_LIST, 400 * second, 700 * ML_NS_PER_MS);
		ml_timeline_add(timeline, &snapshot);
	}
	ml_snapshot_show_growing(&snapshot, timeline, filter);
	ml_array_each (site, &snapshot.sites) {
		bits |= (unsigned int)(site->shown_count > 0) << site->stack;
		assert_int_equal(site->shown_bytes, site->shown_count ? site->live_bytes : 0);
	}
	ml_snapshot_deinit(&snapshot);
	ml_timeline_destroy(timeline);
	return bits;
}

static void test_what_grows_is_shown(void **state)
{
	const struct ml_snapshot_filter half_a_second = {.min_age_ns = 500 * ML_NS_PER_MS,
							 .want_ages = true};

	/* That the old one is not shown here has another reason. */
	assert_int_equal(shown(&half_a_second), 1u << LIST);
}

static void test_what_is_before_the_mark_is_not(void **state)
{
	const struct ml_snapshot_filter since_now = {
		.min_age_ns = 500 * ML_NS_PER_MS, .born_after_ns = 20 * SECOND, .want_ages = true};
	const struct ml_snapshot_filter all_ages = {.want_ages = true};
	const struct ml_snapshot_filter no_ages = {.min_age_ns = 500 * ML_NS_PER_MS};

	assert_int_equal(shown(&since_now), 0);
	assert_int_equal(shown(&all_ages), 0);
	assert_int_equal(shown(&no_ages), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_grows_is_shown),
		cmocka_unit_test(test_what_is_before_the_mark_is_not),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

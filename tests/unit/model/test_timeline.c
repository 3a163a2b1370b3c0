/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/clock.h"
#include "model/verdict.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

/* gcc and clang say in different ways that malloc is the sanitizer's, which mallinfo2() does not
 * know. */
#ifdef __SANITIZE_ADDRESS__
#define SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED
#endif
#endif

#define SECOND ML_NS_PER_SECOND

/** Adds one snapshot of sites first … first + count - 1, each with @p live blocks of 10 bytes. */
static void add(struct ml_timeline *timeline, uint64_t time_ns, uint64_t first, size_t count,
		uint64_t live)
{
	struct ml_snapshot snapshot = {.time_ns = time_ns};

	for (size_t i = 0; i < count; i++)
		*ml_array_push(&snapshot.sites) = (struct ml_site_books){
			.stack = first + i,
			.allocs = live + 1,
			.frees = 1,
			.live_bytes = 10 * live,
			.live_count = live,
			.oldest_born_ns = live ? time_ns - 7 : 0,
		};
	ml_timeline_add(timeline, &snapshot);
	ml_snapshot_deinit(&snapshot);
}

static void test_points(void **state)
{
	struct ml_timeline *timeline = ml_timeline_create(3 * SECOND);
	const struct ml_timeline_point *points;

	add(timeline, 5 * SECOND, 1, 1, 23);
	add(timeline, 6 * SECOND, 1, 2, 24);
	assert_int_equal(ml_timeline_start(timeline), 3 * SECOND);
	assert_int_equal(ml_timeline_points(timeline, 1, &points), 2);
	assert_int_equal(points[0].time_ns, 5 * SECOND);
	assert_int_equal(points[1].live_bytes, 240);
	assert_int_equal(points[1].allocs, 25);
	assert_int_equal(ml_timeline_oldest(timeline, 1), 6 * SECOND - 7);
	/* Site 2 had nothing at the snapshot it was not in. */
	assert_int_equal(ml_timeline_points(timeline, 2, &points), 2);
	assert_int_equal(points[0].time_ns, 5 * SECOND);
	assert_int_equal(points[0].live_count, 0);
	assert_int_equal(ml_timeline_points(timeline, 3, &points), 0);
	assert_int_equal(ml_timeline_oldest(timeline, 3), 0);
	ml_timeline_destroy(timeline);
	ml_timeline_destroy(NULL);
}

static void test_totals(void **state)
{
	struct ml_timeline *timeline = ml_timeline_create(0);
	const struct ml_timeline_point *points;

	add(timeline, 5 * SECOND, 1, 101, 23);
	add(timeline, 5 * SECOND, 1, 101, 24); /* the same moment again */
	assert_int_equal(ml_timeline_totals(timeline, &points), 1);
	assert_int_equal(points[0].live_bytes, 101 * 240);
	assert_int_equal(points[0].frees, 101);
	ml_timeline_destroy(timeline);
}

static void test_thinning_keeps_the_span(void **state)
{
	struct ml_timeline *timeline = ml_timeline_create(0);
	const struct ml_timeline_point *points;
	size_t count;
	uint64_t widest = 0;

	for (uint64_t i = 1; i <= 10007; i++)
		add(timeline, i * SECOND, 1, 1, i);
	count = ml_timeline_points(timeline, 1, &points);
	assert_int_equal(count, ML_TIMELINE_POINTS);
	assert_int_equal(points[0].time_ns, SECOND);
	/* The newest half is dense … */
	for (size_t i = count - ML_TIMELINE_POINTS / 2; i < count; i++)
		assert_int_equal(points[i].time_ns, (10007 - (count - 1 - i)) * SECOND);
	/* … and the older one leaves no hole of more than a few times its fair share. */
	for (size_t i = 1; i < count; i++) {
		assert_true(points[i].time_ns > points[i - 1].time_ns);
		if (points[i].time_ns - points[i - 1].time_ns > widest)
			widest = points[i].time_ns - points[i - 1].time_ns;
	}
	assert_true(widest < 4 * 10007 * SECOND / (ML_TIMELINE_POINTS / 2));
	ml_timeline_destroy(timeline);
}

static void test_dead_sites_make_room(void **state)
{
	struct ml_timeline *timeline = ml_timeline_create(0);
	const struct ml_timeline_point *points;

	add(timeline, SECOND, 1, ML_TIMELINE_SITES / 2, 23);
	for (uint64_t i = 2; i < 12; i++) {
		/* Those of the round before are gone from the snapshot. */
		add(timeline, i * SECOND, i * 1000000, ML_TIMELINE_SITES / 2, 23);
		assert_int_equal(ml_timeline_points(timeline, i * 1000000, &points), 2);
	}
	assert_int_equal(ml_timeline_points(timeline, 1, &points), 0);
	/* More than fit: the first ones have a history, the rest none. */
	add(timeline, 20 * SECOND, 1ULL << 40, ML_TIMELINE_SITES + 23, 1);
	assert_true(ml_timeline_points(timeline, 1ULL << 40, &points) > 0);
	assert_int_equal(
		ml_timeline_points(timeline, (1ULL << 40) + ML_TIMELINE_SITES + 22, &points), 0);
	ml_timeline_destroy(timeline);
}

/** A snapshot of @p count sites, each with one block more than in the one before, as cohorts. */
static void add_growing(struct ml_timeline *timeline, uint64_t time_ns, size_t count)
{
	const struct ml_snapshot_filter filter = {
		.want_ages = true,
		.cohorts = ml_timeline_cohorts(timeline),
	};
	struct ml_snapshot snapshot = {.time_ns = time_ns, .has_cohorts = true};

	for (size_t i = 0; i < count; i++) {
		struct ml_site_books *books = ml_array_push(&snapshot.sites);

		*books = (struct ml_site_books){.stack = i + 1, .allocs = time_ns / SECOND};
		for (size_t k = 0; k < filter.cohorts->count; k++) {
			uint64_t born_ns = filter.cohorts->start_ns[k];

			ml_site_books_add(books, born_ns, 23, 1);
			ml_snapshot_add_cohort(&snapshot, books, &filter, born_ns, 23, 1);
		}
	}
	ml_timeline_add(timeline, &snapshot);
	ml_snapshot_deinit(&snapshot);
}

/** A month of reports every minute. */
static void test_borders_of_a_month(void **state)
{
	struct ml_timeline *timeline = ml_timeline_create(SECOND);
	const struct ml_cohort_starts *starts = ml_timeline_cohorts(timeline);
	const uint64_t end_ns = 30ULL * 86400 * SECOND;

	for (uint64_t now_ns = 61 * SECOND; now_ns <= end_ns; now_ns += 60 * SECOND)
		add_growing(timeline, now_ns, 1);
	assert_int_equal(starts->count, ML_COHORTS);
	assert_int_equal(starts->start_ns[0], SECOND);
	for (size_t i = 1; i + 1 < starts->count; i++) {
		double width = (double)(starts->start_ns[i + 1] - starts->start_ns[i - 1]);
		double age = (double)(end_ns - starts->start_ns[i - 1]);

		assert_true(starts->start_ns[i] > starts->start_ns[i - 1]);
		/* Two neighbours cover no more than nine tenths of the way to now, but at the end.
		 */
		assert_true(width < 0.9 * age || i + 6 > starts->count);
	}
	ml_timeline_destroy(timeline);
}

static void test_memory_is_bounded(void **state)
{
	struct ml_timeline *timeline = ml_timeline_create(SECOND);
	size_t before = mallinfo2().uordblks, full = 0;
	struct ml_verdict verdict;
	uint64_t now_ns = SECOND;

	for (int i = 0; i < 90; i++) {
		now_ns += 5 * SECOND;
		add_growing(timeline, now_ns, 10000);
		if (i == 70)
			full = mallinfo2().uordblks - before;
	}
	printf("# 10 000 sites: %.1f MiB\n", (double)full / (1 << 20));
#ifndef SANITIZED
	assert_true(full > 0 && full < 64u << 20);
	assert_int_equal(mallinfo2().uordblks - before, full);
#endif
	for (uint64_t site = 1; site <= 10000; site++)
		ml_verdict_judge(timeline, site, &verdict);
	assert_true(verdict.why[0]);
	ml_timeline_destroy(timeline);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_points),
		cmocka_unit_test(test_totals),
		cmocka_unit_test(test_thinning_keeps_the_span),
		cmocka_unit_test(test_dead_sites_make_room),
		cmocka_unit_test(test_borders_of_a_month),
		cmocka_unit_test(test_memory_is_bounded),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

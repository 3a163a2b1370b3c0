/* SPDX-License-Identifier: BSD-2-Clause */
#include "live/sparkline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void check(const struct ml_timeline_point *points, size_t count, unsigned int columns,
		  const char *expected)
{
	ML_STRBUF_CLEANUP struct ml_strbuf out = {0};

	ml_sparkline(points, count, 1000, 2000, columns, false, &out);
	assert_string_equal(ml_strbuf_text(&out), expected);
}

static void test_no_points(void **state)
{
	check(NULL, 0, 4, "    ");
}

static void test_ramp(void **state)
{
	const struct ml_timeline_point points[] = {
		{.time_ns = 1250, .live_bytes = 100},
		{.time_ns = 1500, .live_bytes = 200},
		{.time_ns = 1750, .live_bytes = 300},
		{.time_ns = 2000, .live_bytes = 400},
	};

	check(points, 4, 4, ".-+#");
	check(points, 4, 8,
	      " .."
	      "--++#");
}

static void test_late_and_tiny(void **state)
{
	const struct ml_timeline_point points[] = {
		{.time_ns = 1600, .live_bytes = 1},
		{.time_ns = 2000, .live_bytes = 1000000},
	};

	/* Something is never drawn as nothing. */
	check(points, 2, 4, "  _#");
}

static void test_no_time(void **state)
{
	const struct ml_timeline_point point = {.time_ns = 1000, .live_bytes = 5};
	ML_STRBUF_CLEANUP struct ml_strbuf out = {0};

	ml_sparkline(&point, 1, 1000, 1000, 3, true, &out);
	assert_string_equal(ml_strbuf_text(&out), "███");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_points),
		cmocka_unit_test(test_ramp),
		cmocka_unit_test(test_late_and_tiny),
		cmocka_unit_test(test_no_time),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

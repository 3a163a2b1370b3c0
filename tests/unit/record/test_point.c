/* SPDX-License-Identifier: BSD-2-Clause */
#include "record/point.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* 2026-01-23 03:00:41 UTC, in a zone an hour ahead */
static const struct ml_point_moment first = {.time = {.tv_sec = 1769137241}, .utc_offset_s = 3600};

static struct ml_point parse(const char *text)
{
	struct ml_point point;
	struct ml_error *error = ml_point_parse(text, &point);

	if (error)
		fail_msg("%s", ml_error_message(error));
	return point;
}

static void words_and_numbers(void **state)
{
	assert_int_equal(parse("end").kind, ML_POINT_END);
	assert_int_equal(parse("start").kind, ML_POINT_START);
	assert_int_equal(parse("mark").kind, ML_POINT_LAST_MARK);
	assert_int_equal(parse("23").kind, ML_POINT_MARK);
	assert_int_equal(parse("23").mark, 23);
	assert_int_equal(parse("+90").kind, ML_POINT_ELAPSED);
	assert_true(parse("+1.5").elapsed_s == 1.5);
}

static void times(void **state)
{
	const struct {
		const char *text;
		double time_s;
	} cases[] = {
		{"2026-01-23T03:00:41Z", 1769137241},
		{"2026-01-23T04:00:41+01:00", 1769137241},
		{"2026-01-23T00:00:41.5-03:00", 1769137241.5},
		{"2026-01-23T04:00:41", 1769137241}, /* as the recording's clock showed it */
		{"2026-01-23 04:00", 1769137200},
		{"04:00:41", 1769137241},
		{"04:00", 1769137200},
		{"04:00:40", 1769137240 + 86400}, /* only the next day */
		{"00:10:00", 1769137200 - 4 * 3600 + 600 + 86400},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ml_point point = parse(cases[i].text);

		if (ml_point_time_s(&point, &first) != cases[i].time_s)
			fail_msg("%s is %f", cases[i].text, ml_point_time_s(&point, &first));
	}
}

static void nonsense(void **state)
{
	static const char *const texts[] = {
		"",        "0",
		"-1",      "+",
		"+x",      "1.5",
		"25:00",   "04:60",
		"4:0:61",  "04:00:",
		"2026-01", "2026-01-23",
		"marks",   "2026-01-23T04:00:41+1",
		"+1s",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct ml_point point;
		struct ml_error *error = ml_point_parse(texts[i], &point);

		if (!error)
			fail_msg("'%s' was taken", texts[i]);
		assert_int_equal(ml_error_kind(error), ML_ERROR_USAGE);
		ml_error_free(error);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_and_numbers),
		cmocka_unit_test(times),
		cmocka_unit_test(nonsense),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

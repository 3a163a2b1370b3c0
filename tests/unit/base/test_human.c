/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/human.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_bytes(void **state)
{
	char text[ML_HUMAN_TEXT];

	assert_string_equal(ml_human_bytes(0, text), "0 B");
	assert_string_equal(ml_human_bytes(1023, text), "1023 B");
	assert_string_equal(ml_human_bytes(1024, text), "1.0 KiB");
	assert_string_equal(ml_human_bytes(1024 * 1024 - 1, text), "1.0 MiB");
	assert_string_equal(ml_human_bytes(-1536, text), "-1.5 KiB");
	assert_string_equal(ml_human_bytes(18446744073709551615.0, text), "16.0 EiB");
}

static void test_duration(void **state)
{
	char text[ML_HUMAN_TEXT];

	assert_string_equal(ml_human_duration(0, text), "00:00:00");
	assert_string_equal(ml_human_duration(3723, text), "01:02:03");
	assert_string_equal(ml_human_duration(86400 * 90 + 1, text), "90d 00:00:01");
	assert_string_equal(ml_human_duration(UINT64_MAX, text), "213503982334601d 07:00:15");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_duration),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

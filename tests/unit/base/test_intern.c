/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/intern.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static void test_numbers(void **state)
{
	ML_INTERN_CLEANUP struct ml_intern intern = {0};
	bool is_new;

	assert_int_equal(ml_intern_text(&intern, "", &is_new), 0);
	assert_true(is_new);
	assert_int_equal(ml_intern_text(&intern, "a", NULL), 1);
	assert_int_equal(ml_intern_bytes(&intern, "a\0b", 3, &is_new), 2);
	assert_true(is_new);
	assert_int_equal(ml_intern_bytes(&intern, "a\0b", 3, &is_new), 2);
	assert_false(is_new);
	assert_int_equal(ml_intern_text(&intern, "a", &is_new), 1);
	assert_false(is_new);
	assert_string_equal(intern.entries.items[1].bytes, "a");
}

static void test_many(void **state)
{
	ML_INTERN_CLEANUP struct ml_intern intern = {0};
	char text[20];

	for (int round = 0; round < 2; round++)
		for (int i = 0; i < 10000; i++) {
			snprintf(text, sizeof(text), "name %d", i);
			assert_int_equal(ml_intern_text(&intern, text, NULL), i);
		}
	assert_int_equal(intern.entries.count, 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_many),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

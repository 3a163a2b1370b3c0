/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/error.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void says_what_it_was_given(void **state)
{
	ML_ERROR_CLEANUP struct ml_error *error =
		ml_error_new(ML_ERROR_TARGET, "no process with pid %d", 4242);

	assert_string_equal(ml_error_message(error), "no process with pid 4242");
	assert_int_equal(ml_error_kind(error), ML_ERROR_TARGET);
	assert_int_equal(ml_error_code(error), 0);
}

static void puts_errno_into_words(void **state)
{
	ML_ERROR_CLEANUP struct ml_error *error = ml_error_errno(ENOENT, "cannot open %s", "/x");

	assert_string_equal(ml_error_message(error), "cannot open /x: No such file or directory");
	assert_int_equal(ml_error_kind(error), ML_ERROR_SYSTEM);
	assert_int_equal(ml_error_code(error), ENOENT);
}

static void keeps_kind_and_code_when_wrapped(void **state)
{
	ML_ERROR_CLEANUP struct ml_error *error =
		ml_error_wrap(ml_error_wrap(ml_error_errno(EPERM, "bpf"), "attach"), "pid %d", 7);

	assert_string_equal(ml_error_message(error), "pid 7: attach: bpf: Operation not permitted");
	assert_int_equal(ml_error_kind(error), ML_ERROR_SYSTEM);
	assert_int_equal(ml_error_code(error), EPERM);
}

static void does_not_read_formats_in_its_data(void **state)
{
	ML_ERROR_CLEANUP struct ml_error *error =
		ml_error_wrap(ml_error_new(ML_ERROR_FORMAT, "%s", "%s%n%d"), "%s", "100%");

	assert_string_equal(ml_error_message(error), "100%: %s%n%d");
}

static void frees_nothing_gladly(void **state)
{
	ML_ERROR_CLEANUP struct ml_error *none = NULL;

	ml_error_free(none);
	assert_null(none);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(says_what_it_was_given),
		cmocka_unit_test(puts_errno_into_words),
		cmocka_unit_test(keeps_kind_and_code_when_wrapped),
		cmocka_unit_test(does_not_read_formats_in_its_data),
		cmocka_unit_test(frees_nothing_gladly),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

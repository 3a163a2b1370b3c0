/* SPDX-License-Identifier: BSD-2-Clause */
#include "live/fit.h"

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void check(const char *text, unsigned int columns, enum ml_fit fit, const char *expected)
{
	ML_STRBUF_CLEANUP struct ml_strbuf out = {0};

	ml_fit(&out, text, columns, fit);
	assert_string_equal(ml_strbuf_text(&out), expected);
}

static void test_fills(void **state)
{
	check("abc", 5, ML_FIT_LEFT, "abc  ");
	check("abc", 5, ML_FIT_RIGHT, "  abc");
	check("", 2, ML_FIT_LEFT, "  ");
	check("abc", 0, ML_FIT_LEFT, "");
}

static void test_cuts(void **state)
{
	check("abcdef", 6, ML_FIT_LEFT, "abcdef");
	check("abcdef", 5, ML_FIT_LEFT, "abcd~");
	check("abcdef", 1, ML_FIT_RIGHT, "~");
}

static void test_counts_columns_not_bytes(void **state)
{
	check("äöü", 4, ML_FIT_LEFT, "äöü ");
	check("äöüß", 3, ML_FIT_LEFT, "äö~");
	/* Each of these takes two columns. */
	check("日本", 5, ML_FIT_LEFT, "日本 ");
	check("日本語", 5, ML_FIT_LEFT, "日本~");
	check("日本語", 4, ML_FIT_LEFT, "日~ ");
}

static void test_hostile_text(void **state)
{
	check("a\033[2Jb", 10, ML_FIT_LEFT, "a\\x1b[2Jb ");
	check("a\xff\xfe", 4, ML_FIT_LEFT, "a?? ");
	check("\xe6\x97", 4, ML_FIT_LEFT, "??  ");
	check("?", 2, ML_FIT_LEFT, "? ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fills),
		cmocka_unit_test(test_cuts),
		cmocka_unit_test(test_counts_columns_not_bytes),
		cmocka_unit_test(test_hostile_text),
	};

	if (!setlocale(LC_CTYPE, "C.UTF-8"))
		return 1;
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void expect(const char *text, const char *cleaned)
{
	ML_STRBUF_CLEANUP struct ml_strbuf buf = {0};

	ml_utf8_clean(&buf, text);
	assert_string_equal(ml_strbuf_text(&buf), cleaned);
}

static void test_length(void **state)
{
	assert_int_equal(ml_utf8_length("a"), 1);
	assert_int_equal(ml_utf8_length("\xc3\xa9"), 2);
	assert_int_equal(ml_utf8_length("\xe2\x82\xac"), 3);
	assert_int_equal(ml_utf8_length("\xf0\x9f\x98\x80"), 4);
	assert_int_equal(ml_utf8_length("\xc0\x80"), 0);         /* overlong */
	assert_int_equal(ml_utf8_length("\xed\xa0\x80"), 0);     /* surrogate */
	assert_int_equal(ml_utf8_length("\xf4\x90\x80\x80"), 0); /* beyond U+10FFFF */
	assert_int_equal(ml_utf8_length("\xf0\x9f"), 0);         /* cut off */
}

static void test_clean(void **state)
{
	expect("caf\xc3\xa9<T>", "caf\xc3\xa9<T>");
	expect("\x1b[2J\n\x7f\xc2\x9b", "\\x1b[2J\\x0a\\x7f\\x9b");
	expect("\xff\xe2\x82x", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdx");
	expect("\xef\xbf\xbe\xef\xbf\xbf\xef\xbf\xbd", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_length),
		cmocka_unit_test(test_clean),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

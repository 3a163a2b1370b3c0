/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/strbuf.h"

#include "base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void is_never_null(void **state)
{
	struct ml_strbuf buf = {0};
	ML_FREE_CLEANUP char *taken = NULL;

	assert_string_equal(ml_strbuf_text(&buf), "");
	ml_strbuf_clear(&buf);
	ml_strbuf_escaped(&buf, "");
	ml_strbuf_printf(&buf, "%s", "");
	assert_string_equal(ml_strbuf_text(&buf), "");
	taken = ml_strbuf_take(&buf);
	assert_string_equal(taken, "");
	assert_null(buf.text);
	ml_strbuf_free(&buf);
}

static void grows_in_every_way(void **state)
{
	ML_STRBUF_CLEANUP struct ml_strbuf buf = {0};

	ml_strbuf_puts(&buf, "a");
	ml_strbuf_putc(&buf, 'b');
	ml_strbuf_add(&buf, "cde", 2);
	ml_strbuf_printf(&buf, "-%d-%s", 23, "x");
	assert_string_equal(ml_strbuf_text(&buf), "abcd-23-x");
	assert_int_equal(buf.length, 9);
	ml_strbuf_clear(&buf);
	assert_string_equal(ml_strbuf_text(&buf), "");
	ml_strbuf_puts(&buf, "again");
	assert_string_equal(ml_strbuf_text(&buf), "again");
}

static void takes_texts_longer_than_any_buffer(void **state)
{
	ML_STRBUF_CLEANUP struct ml_strbuf buf = {0};
	ML_FREE_CLEANUP char *text = malloc(100001);

	memset(text, 'x', 100000);
	text[100000] = '\0';
	ml_strbuf_printf(&buf, "<%s>", text);
	assert_int_equal(buf.length, 100002);
	assert_int_equal(buf.text[100001], '>');
	assert_int_equal(strlen(buf.text), buf.length);
}

static void keeps_bytes_that_end_strings(void **state)
{
	ML_STRBUF_CLEANUP struct ml_strbuf buf = {0};

	ml_strbuf_add(&buf, "a\0b", 3);
	assert_int_equal(buf.length, 3);
	assert_memory_equal(buf.text, "a\0b", 4);
}

static void escapes_what_a_terminal_obeys(void **state)
{
	static const struct {
		const char *text, *escaped;
	} cases[] = {
		{"plain text", "plain text"},
		{"\x1b[31m", "\\x1b[31m"},
		{"a\nb\tc\r", "a\\x0ab\\x09c\\x0d"},
		{"\x7f", "\\x7f"},
		{"\xc2\x9b"
		 "31m",
		 "\\x9b31m"},             /* CSI in UTF-8 */
		{"\xc2\xa0", "\xc2\xa0"}, /* the first beyond C1 */
		{"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
		{"\xc2", "\xc2"}, /* cut off */
		{"\xff\xfe", "\xff\xfe"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		ML_STRBUF_CLEANUP struct ml_strbuf buf = {0};

		ml_strbuf_escaped(&buf, cases[i].text);
		assert_string_equal(ml_strbuf_text(&buf), cases[i].escaped);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_never_null),
		cmocka_unit_test(grows_in_every_way),
		cmocka_unit_test(takes_texts_longer_than_any_buffer),
		cmocka_unit_test(keeps_bytes_that_end_strings),
		cmocka_unit_test(escapes_what_a_terminal_obeys),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/json_reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

/* The tokens of @p json as letters: o(pen) c(lose) k(ey) s(tring) x (other), with their texts. */
static char *tokens_of(const char *json)
{
	static const char letters[] = "eocksx";
	ML_JSON_READER_CLEANUP struct ml_json_reader reader = {.at = json};
	struct ml_strbuf out = {0};

	for (enum ml_json_token token; (token = ml_json_next(&reader)) != ML_JSON_END;) {
		ml_strbuf_putc(&out, letters[token]);
		if (token == ML_JSON_KEY || token == ML_JSON_STRING)
			ml_strbuf_printf(&out, "<%s>", ml_strbuf_text(&reader.text));
	}
	return ml_strbuf_take(&out);
}

static void assert_tokens(const char *json, const char *wanted)
{
	char *tokens = tokens_of(json);

	assert_string_equal(tokens, wanted);
	free(tokens);
}

static void tells_tokens(void **state)
{
	assert_tokens("{\"a\" : [1, -2.5e3, true, null, \"b\"], \"c\":{}}",
		      "ok<a>oxxxxs<b>ck<c>occ");
	assert_tokens("", "");
	assert_tokens("[[[]]]", "oooccc");
}

static void undoes_escapes(void **state)
{
	assert_tokens("\"\\\"\\\\\\/\\n\\u0041\\u00e4\\u20ac\"", "s<\"\\/\nA\xc3\xa4\xe2\x82\xac>");
}

static void ends_where_sense_ends(void **state)
{
	assert_tokens("{\"a\":\"cut", "ok<a>");
	assert_tokens("[\"\\q\", 1]", "o");
	assert_tokens("[\"\\u00", "o");
	assert_tokens("[\"\\u0000\"]", "o");
	assert_tokens("]1", "");
	assert_tokens("1 : 2", "x");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tells_tokens),
		cmocka_unit_test(undoes_escapes),
		cmocka_unit_test(ends_where_sense_ends),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/json.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/** What @p value becomes as a JSON string. free() it. */
static char *string_of(const char *value)
{
	char *text = NULL;
	size_t length;
	struct ml_json json = {.out = open_memstream(&text, &length)};

	ml_json_string(&json, NULL, value);
	fclose(json.out);
	return text;
}

static void test_strings(void **state)
{
	static const struct {
		const char *value, *json;
	} cases[] = {
		{"", "\"\""},
		{NULL, "null"},
		{"a\"b\\c/", "\"a\\\"b\\\\c/\""},
		{"\n\t\x01\x1b\x7f", "\"\\n\\t\\u0001\\u001b\\u007f\""},
		{"\xc3\xa9\xe2\x86\x92\xf0\x9f\x98\x80",
		 "\"\xc3\xa9\xe2\x86\x92\xf0\x9f\x98\x80\""},
		{"\xc2\x9b", "\"\\u009b\""},
		{"\xc0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\""},                 /* overlong NUL */
		{"\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""}, /* surrogate */
		{"\xe2\x86", "\"\xef\xbf\xbd\xef\xbf\xbd\""},                 /* cut short */
		{"\xe2\"", "\"\xef\xbf\xbd\\\"\""},
		{"\xf5z", "\"\xef\xbf\xbdz\""},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *json = string_of(cases[i].value);

		assert_string_equal(json, cases[i].json);
		free(json);
	}
}

static void test_document(void **state)
{
	char *text = NULL;
	size_t length;
	struct ml_json json = {.out = open_memstream(&text, &length)};

	ml_json_object_begin(&json, NULL);
	ml_json_u64(&json, "u", UINT64_MAX);
	ml_json_array_begin(&json, "a");
	ml_json_i64(&json, NULL, INT64_MIN);
	ml_json_object_begin(&json, NULL);
	ml_json_object_end(&json);
	ml_json_double(&json, NULL, 0.1);
	ml_json_double(&json, NULL, NAN);
	ml_json_double(&json, NULL, -INFINITY);
	ml_json_array_end(&json);
	ml_json_bool(&json, "b", false);
	ml_json_hex(&json, "h", UINT64_MAX);
	ml_json_null(&json, "n");
	ml_json_raw(&json, "r", "[1]trailing", 3);
	ml_json_raw(&json, "z", "0", 1);
	ml_json_object_end(&json);
	fclose(json.out);
	assert_string_equal(text, "{\"u\":18446744073709551615,\"a\":[-9223372036854775808,{},0.1,"
				  "null,null],\"b\":false,\"h\":\"0xffffffffffffffff\",\"n\":null,"
				  "\"r\":[1],\"z\":0}");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_document),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/protobuf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void expect(const struct ml_strbuf *out, const char *bytes, size_t length)
{
	assert_int_equal(out->length, length);
	assert_memory_equal(ml_strbuf_text(out), bytes, length);
}

static void test_numbers(void **state)
{
	ML_STRBUF_CLEANUP struct ml_strbuf out = {0};

	ml_protobuf_u64(&out, 1, 0);
	expect(&out, "", 0);
	ml_protobuf_u64(&out, 1, 150); /* the example of the specification */
	ml_protobuf_u64(&out, 16, UINT64_MAX);
	expect(&out, "\x08\x96\x01\x80\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 15);
}

static void test_bytes_and_messages(void **state)
{
	ML_STRBUF_CLEANUP struct ml_strbuf inner = {0}, out = {0};

	ml_protobuf_message(&out, 6, &inner);
	ml_protobuf_u64(&inner, 1, 150);
	ml_protobuf_message(&out, 3, &inner);
	ml_protobuf_bytes(&out, 2, "testing", 7);
	expect(&out, "\x32\x00\x1a\x03\x08\x96\x01\x12\x07testing", 16);
}

static void test_packed(void **state)
{
	static const uint64_t values[] = {3, 270, 86942, 0};
	ML_STRBUF_CLEANUP struct ml_strbuf out = {0};

	ml_protobuf_packed(&out, 6, values, 0);
	expect(&out, "", 0);
	ml_protobuf_packed(&out, 6, values, 4);
	expect(&out, "\x32\x07\x03\x8e\x02\x9e\xa7\x05\x00", 9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_bytes_and_messages),
		cmocka_unit_test(test_packed),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

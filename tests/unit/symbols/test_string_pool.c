/* SPDX-License-Identifier: BSD-2-Clause */
#include "symbols/string_pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void keeps_each_text_once(void **state)
{
	struct ml_string_pool pool = {0};
	const char *kept = ml_string_pool_add(&pool, "malloc");

	(void)state;
	assert_null(ml_string_pool_add(&pool, NULL));
	assert_ptr_equal(ml_string_pool_add(&pool, "malloc"), kept);
	assert_ptr_equal(ml_string_pool_take(&pool, ml_strdup("malloc")), kept);
	assert_string_equal(ml_string_pool_add(&pool, "free"), "free");
	assert_int_equal(pool.strings.count, 2);
	ml_string_pool_deinit(&pool);
}

/* A name may be as long as its file. */
static void cuts_long_texts(void **state)
{
	struct ml_string_pool pool = {0};
	size_t size = 1u << 20;
	char *text = ml_alloc(size + 1);
	const char *kept;

	(void)state;
	memset(text, 'a', size);
	kept = ml_string_pool_add(&pool, text);
	assert_int_equal(strlen(kept), ML_POOLED_BYTES_MAX);
	text[ML_POOLED_BYTES_MAX] = '\0';
	assert_ptr_equal(ml_string_pool_add(&pool, text), kept);
	free(text);
	ml_string_pool_deinit(&pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_each_text_once),
		cmocka_unit_test(cuts_long_texts),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

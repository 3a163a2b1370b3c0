/* SPDX-License-Identifier: BSD-2-Clause */
#include "allocators/options.h"

#include "support.h"

static enum ml_role role_of(const char *spec)
{
	const char *specs[] = {spec, NULL};
	struct ml_allocator_options options = {.alloc_fns = specs};
	struct ml_user_functions functions = {0};
	struct ml_error *error = ml_user_functions_parse(&options, &functions);
	enum ml_role role = ML_ROLE_NONE;

	if (error) {
		assert_int_equal(ml_error_kind(error), ML_ERROR_USAGE);
		assert_non_null(strstr(ml_error_message(error), "--alloc-fn"));
		ml_error_free(error);
		return ML_ROLE_NONE;
	}
	assert_int_equal(functions.list.count, 1);
	assert_int_equal(strncmp(functions.list.items[0].name, "pool", 4), 0);
	assert_null(strchr(functions.list.items[0].name, ':'));
	role = functions.list.items[0].role;
	ml_user_functions_deinit(&functions);
	return role;
}

static void test_argument_positions(void **state)
{
	assert_int_equal(role_of("pool"), ML_ROLE_MALLOC);
	assert_int_equal(role_of("pool:1"), ML_ROLE_MALLOC);
	assert_int_equal(role_of("pool_get:2"), ML_ROLE_ALIGNED_ALLOC);
	assert_int_equal(role_of("pool:2:1"), ML_ROLE_CALLOC);
	assert_int_equal(role_of("pool:1:2"), ML_ROLE_CALLOC);
}

static void test_impossible_positions(void **state)
{
	static const char *const specs[] = {
		"pool:3",   "pool:",   "pool:0", "pool:x",     "pool:1:", "pool:1:1",
		"pool:2:3", "pool:12", "",       "pool:1:2:3", ":1",      "pool:-1",
	};

	for (size_t i = 0; i < sizeof(specs) / sizeof(*specs); i++)
		assert_int_equal(role_of(specs[i]), ML_ROLE_NONE);
}

static void test_no_options(void **state)
{
	struct ml_user_functions functions = {0};

	assert_null(ml_user_functions_parse(NULL, &functions));
	assert_int_equal(functions.list.count, 0);
}

static void test_object_names(void **state)
{
	struct ml_module *libc = open_module(LIBC);
	struct ml_module *jemalloc = open_module(JEMALLOC);

	assert_true(ml_object_is_module("c", libc));
	assert_true(ml_object_is_module("libc", libc));
	assert_true(ml_object_is_module("libc.so", libc));
	assert_true(ml_object_is_module("libc.so.6", libc));
	assert_true(ml_object_is_module(LIBC, libc));
	assert_true(ml_object_is_module("/lib/x86_64-linux-gnu/libc.so.6", libc));
	assert_true(ml_object_is_module("jemalloc", jemalloc));
	assert_false(ml_object_is_module("c", jemalloc));
	assert_false(ml_object_is_module("je", jemalloc));
	assert_false(ml_object_is_module("libc.so.5", libc));
	assert_false(ml_object_is_module("libc.so.66", libc));
	assert_false(ml_object_is_module("", libc));
	assert_false(ml_object_is_module("/elsewhere/libc.so.6", libc));
	ml_module_unref(libc);
	ml_module_unref(jemalloc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_argument_positions),
		cmocka_unit_test(test_impossible_positions),
		cmocka_unit_test(test_no_options),
		cmocka_unit_test(test_object_names),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/** What is called in the stead of functions that throw. */
#include "support.h"

/* Expects that @wanted stands in for @name; NULL: that nothing does. */
static void expect(const char *path, const char *name, const char *wanted, bool is_swapped)
{
	struct ml_module *module = open_module(path);
	struct ml_stand_in stand_in;
	struct ml_symbol symbol;
	bool found = ml_allocator_stand_in(module, name, &stand_in);

	assert_true(ml_allocator_throws(name));
	assert_int_equal(found, wanted != NULL);
	if (wanted) {
		assert_true(ml_module_function_named(module, wanted, &symbol));
		assert_int_equal(stand_in.address, symbol.address);
		assert_int_equal(stand_in.is_swapped, is_swapped);
	}
	ml_module_unref(module);
}

/* Their delete is their free, directly or by a jump. */
static void test_one_heap(void **state)
{
	expect(JEMALLOC, "_Znwm", "malloc", false);
	expect(JEMALLOC, "_Znam", "malloc", false);
	expect(JEMALLOC, "_ZnwmSt11align_val_t", "memalign", true);
	expect(TCMALLOC, "_Znwm", "malloc", false);
	expect(TCMALLOC, "tc_newarray", "tc_malloc", false);
	expect(TCMALLOC, "_ZnamSt11align_val_t", "memalign", true);
	expect(MIMALLOC, "_Znwm", "malloc", false);
	expect(MIMALLOC, "_ZnwmSt11align_val_t", "memalign", true);
	expect(MIMALLOC, "mi_new_aligned", "mi_malloc_aligned", false);
	expect(MIMALLOC, "mi_new_realloc", "mi_realloc", false);
}

/* What malloc() gave must not be deleted there, or it cannot be told. */
static void test_kept_apart(void **state)
{
	expect(TCMALLOC_DEBUG, "_Znwm", "_ZnwmRKSt9nothrow_t", false);
	expect(TCMALLOC_DEBUG, "_Znam", "_ZnamRKSt9nothrow_t", false);
	expect(TCMALLOC_DEBUG, "_ZnamSt11align_val_t", "_ZnamSt11align_val_tRKSt9nothrow_t", false);
	expect(TBB_PROXY, "_Znwm", "_ZnwmRKSt9nothrow_t", false);
}

static void test_nothing(void **state)
{
	expect(LIBC, "_Znwm", NULL, false);
	assert_false(ml_allocator_throws("malloc"));
	assert_false(ml_allocator_throws("_ZnwmRKSt9nothrow_t"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_heap),
		cmocka_unit_test(test_kept_apart),
		cmocka_unit_test(test_nothing),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "allocators/roles.h"

#include "support.h"

static void assert_role(const char *name, enum ml_role role, enum ml_role_scope scope)
{
	struct ml_role_name meaning;

	assert_true(ml_role_find(name, &meaning));
	assert_int_equal(meaning.role, role);
	assert_int_equal(meaning.scope, scope);
}

static void assert_no_role(const char *name)
{
	struct ml_role_name meaning;

	assert_false(ml_role_find(name, &meaning));
}

static void test_table_is_sorted(void **state)
{
	assert_true(ml_role_table_is_sorted());
}

static void test_standard_names(void **state)
{
	assert_role("malloc", ML_ROLE_MALLOC, ML_SCOPE_STANDARD);
	assert_role("calloc", ML_ROLE_CALLOC, ML_SCOPE_STANDARD);
	assert_role("realloc", ML_ROLE_REALLOC, ML_SCOPE_STANDARD);
	assert_role("posix_memalign", ML_ROLE_POSIX_MEMALIGN, ML_SCOPE_STANDARD);
	assert_role("memalign", ML_ROLE_ALIGNED_ALLOC, ML_SCOPE_STANDARD);
	assert_role("free_sized", ML_ROLE_FREE, ML_SCOPE_STANDARD);
	assert_role("mmap64", ML_ROLE_MMAP, ML_SCOPE_MAPPING);
	assert_role("mremap", ML_ROLE_MREMAP, ML_SCOPE_MAPPING);
	assert_no_role("mallocx_"), assert_no_role(""), assert_no_role("Malloc");
}

static void test_allocators_names(void **state)
{
	assert_role("je_malloc", ML_ROLE_MALLOC, ML_SCOPE_JEMALLOC);
	assert_role("_rjem_sdallocx", ML_ROLE_FREE, ML_SCOPE_JEMALLOC);
	assert_role("rallocx", ML_ROLE_REALLOC, ML_SCOPE_JEMALLOC);
	assert_role("tc_memalign", ML_ROLE_ALIGNED_ALLOC, ML_SCOPE_TCMALLOC);
	assert_role("mi_heap_malloc", ML_ROLE_ALIGNED_ALLOC, ML_SCOPE_MIMALLOC);
	assert_role("mi_new_n", ML_ROLE_CALLOC, ML_SCOPE_MIMALLOC);
	assert_no_role("xallocx");
	assert_no_role("je_mmap");
	assert_no_role("je_mi_malloc");
	assert_no_role("mi_heap_realloc");
}

static void test_operators(void **state)
{
	assert_role("_Znwm", ML_ROLE_MALLOC, ML_SCOPE_OPERATOR);
	assert_role("_ZnamSt11align_val_tRKSt9nothrow_t", ML_ROLE_MALLOC, ML_SCOPE_OPERATOR);
	assert_role("_ZdaPvmSt11align_val_t", ML_ROLE_FREE, ML_SCOPE_OPERATOR);
	/* Placement new and a class's own are no allocation of ours. */
	assert_no_role("_ZnwmPv");
	assert_no_role("_ZN4NodenwEm");
	assert_no_role("_Zdl");
}

static void test_prefixed_names_are_standard_ones(void **state)
{
	struct ml_role_name meaning;

	assert_true(ml_role_find_standard("calloc", &meaning));
	assert_int_equal(meaning.role, ML_ROLE_CALLOC);
	assert_false(ml_role_find_standard("mmap", &meaning));
	assert_false(ml_role_find_standard("mallocx", &meaning));
}

static void test_argument_counts(void **state)
{
	assert_int_equal(ml_role_argument_count(ML_ROLE_FREE), 1);
	assert_int_equal(ml_role_argument_count(ML_ROLE_CALLOC), 2);
	assert_int_equal(ml_role_argument_count(ML_ROLE_POSIX_MEMALIGN), 3);
	assert_int_equal(ml_role_argument_count(ML_ROLE_MMAP), 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table_is_sorted),
		cmocka_unit_test(test_standard_names),
		cmocka_unit_test(test_allocators_names),
		cmocka_unit_test(test_operators),
		cmocka_unit_test(test_prefixed_names_are_standard_ones),
		cmocka_unit_test(test_argument_counts),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "allocators/names.h"

#include "support.h"

static void test_tables_are_sorted(void **state)
{
	assert_true(ml_names_are_sorted());
}

static void test_internal(void **state)
{
	static const char *const names[] = {
		"malloc",
		"_Znwm",
		"_ZnamRKSt9nothrow_t",
		"reallocarray",
		"__libc_memalign",
		"__GI___libc_malloc",
		"_int_malloc",
		"malloc.cold",
		"je_calloc",
		"mmap",
		"_ZN8tcmalloc11ThreadCache8AllocateEmjPFPvmE",
		"_mi_malloc_generic",
		"__interceptor_malloc",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		assert_true(ml_allocator_is_internal(names[i]));
		assert_true(ml_allocator_is_wrapper(names[i]));
	}
}

static void test_wrapper_but_not_internal(void **state)
{
	static const char *const names[] = {
		"strdup",
		"__GI___strdup",
		"vasprintf",
		"getline",
		"xmalloc",
		"xcalloc.constprop.0",
		"zmalloc",
		"ztrymalloc_usable_internal",
		"g_malloc0_n",
		"g_slice_alloc",
		"PyMem_RawMalloc",
		"PyObject_Malloc",
		"_PyObject_GC_New",
		"ngx_palloc",
		"CRYPTO_zalloc",
		"apr_palloc",
		"av_malloc",
		"sqlite3MemMalloc",
		"sqlite3DbMallocRawNN",
		"_ZNSt6vectorIiSaIiEE17_M_realloc_insertIJRKiEEEvv",
		"_ZN9__gnu_cxx13new_allocatorIiE8allocateEmPKv",
		"_ZNSaIcE8allocateEm",
		"_ZSt11make_uniqueI4NodeJEENSt8__detail9_MakeUniqIT_EEDpOT0_",
		"__rust_alloc",
		"__rdl_alloc",
		"_RNvCs5QKde7ScR4H_7___rustc12___rust_alloc",
		"_ZN5alloc7raw_vec19RawVec$LT$T$C$A$GT$8grow_one17h0123456789abcdefE",
		"_ZN72_$LT$alloc..vec..Vec$LT$T$GT$$u20$as$u20$core..clone..Clone$GT$5clone17h0E",
		"_RNvMs2_NtCs5QKde7ScR4H_5alloc7raw_vecINtB5_6RawVecjE8grow_oneB7_",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (!ml_allocator_is_wrapper(names[i]) || ml_allocator_is_internal(names[i]))
			print_message("# %s\n", names[i]);
		assert_true(ml_allocator_is_wrapper(names[i]));
		assert_false(ml_allocator_is_internal(names[i]));
	}
}

static void test_owners(void **state)
{
	static const char *const names[] = {
		"main",
		"fibonacci",
		"",
		".",
		"...",
		"xmallocator",
		"_ZN4Node6createEv",
		"_Z9make_treei",
		"_ZN",
		"_R",
		"_ZN9my_app10allocator_3runE",
		"gnu_get_libc_version",
		"processCommand",
		"ngx_http_process_request",
		"_PyEval_EvalFrameDefault",
		"a_name_that_is_a_good_deal_longer_than_any_name_that_is_in_the_tables",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		assert_false(ml_allocator_is_wrapper(names[i]));
	assert_false(ml_allocator_is_wrapper(NULL));
	assert_false(ml_allocator_is_internal(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tables_are_sorted),
		cmocka_unit_test(test_internal),
		cmocka_unit_test(test_wrapper_but_not_internal),
		cmocka_unit_test(test_owners),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

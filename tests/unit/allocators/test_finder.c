/* SPDX-License-Identifier: BSD-2-Clause */
#include "support.h"

#include <unistd.h>

/* Looks into @p paths (NULL-terminated; the first is the program when @p has_main). */
static struct ml_error *find(const char *const *paths, bool has_main,
			     const struct ml_allocator_options *options, struct ml_allocators *out)
{
	struct ml_allocator_candidate candidates[8] = {0};
	struct ml_error *error;
	size_t count = 0;

	for (; paths[count]; count++) {
		candidates[count].module = open_module(paths[count]);
		candidates[count].is_main = has_main && count == 0;
	}
	error = ml_allocators_find(candidates, count, options, out);
	for (size_t i = 0; i < count; i++)
		ml_module_unref(candidates[i].module);
	return error;
}

static void find_one(const char *path, bool is_main, struct ml_allocators *out)
{
	const char *const paths[] = {path, NULL};

	assert_null(find(paths, is_main, NULL, out));
}

static void assert_emulated(const struct ml_allocator *allocator, const char *name,
			    enum ml_role role)
{
	const struct ml_allocator_function *function = function_named(allocator, name);

	assert_non_null(function);
	assert_int_equal(function->role, role);
	assert_true(function->is_emulated);
	assert_in_range(function->probe, function->address, function->address + 64);
}

static void assert_addresses_are_unique(const struct ml_allocator *allocator)
{
	for (size_t i = 1; i < allocator->functions.count; i++)
		assert_true(allocator->functions.items[i - 1].address <
			    allocator->functions.items[i].address);
}

static void test_glibc(void **state)
{
	struct ml_allocators found;

	find_one(LIBC, false, &found);
	assert_int_equal(found.list.count, 1);
	assert_int_equal(found.unprobeable, 0);
	const struct ml_allocator *glibc = &found.list.items[0];
	assert_string_equal(glibc->kind, "glibc");
	assert_emulated(glibc, "malloc", ML_ROLE_MALLOC);
	assert_emulated(glibc, "free", ML_ROLE_FREE);
	assert_emulated(glibc, "calloc", ML_ROLE_CALLOC);
	assert_emulated(glibc, "realloc", ML_ROLE_REALLOC);
	assert_non_null(function_named(glibc, "aligned_alloc"));
	assert_non_null(function_named(glibc, "mmap"));
	assert_non_null(function_named(glibc, "munmap"));
	/* Other names of the same addresses, and what only calls realloc. */
	assert_null(function_named(glibc, "memalign"));
	assert_null(function_named(glibc, "cfree"));
	assert_null(function_named(glibc, "mmap64"));
	assert_null(function_named(glibc, "reallocarray"));
	assert_addresses_are_unique(glibc);
	assert_string_equal(found.looked_at, "libc.so.6");
	ml_allocators_deinit(&found);
}

static void test_jemalloc(void **state)
{
	struct ml_allocators found;

	find_one(JEMALLOC, false, &found);
	assert_int_equal(found.list.count, 1);
	const struct ml_allocator *jemalloc = &found.list.items[0];
	assert_string_equal(jemalloc->kind, "jemalloc");
	assert_emulated(jemalloc, "malloc", ML_ROLE_MALLOC);
	assert_emulated(jemalloc, "free", ML_ROLE_FREE);
	assert_emulated(jemalloc, "mallocx", ML_ROLE_MALLOC);
	assert_emulated(jemalloc, "sdallocx", ML_ROLE_FREE);
	assert_emulated(jemalloc, "_Znwm", ML_ROLE_MALLOC);
	/* jmp _Znwm; jmp free@plt */
	assert_null(function_named(jemalloc, "_Znam"));
	assert_null(function_named(jemalloc, "_ZdlPv"));
	assert_null(function_named(jemalloc, "mmap"));
	assert_addresses_are_unique(jemalloc);
	ml_allocators_deinit(&found);
}

static void test_tcmalloc(void **state)
{
	struct ml_allocators found;

	find_one(TCMALLOC, false, &found);
	assert_int_equal(found.list.count, 1);
	const struct ml_allocator *tcmalloc = &found.list.items[0];
	assert_string_equal(tcmalloc->kind, "tcmalloc");
	assert_emulated(tcmalloc, "malloc", ML_ROLE_MALLOC);
	assert_emulated(tcmalloc, "free", ML_ROLE_FREE);
	assert_emulated(tcmalloc, "_Znwm", ML_ROLE_MALLOC);
	assert_emulated(tcmalloc, "_ZdlPvm", ML_ROLE_FREE);
	/* The same addresses as malloc and free. */
	assert_null(function_named(tcmalloc, "tc_malloc"));
	assert_null(function_named(tcmalloc, "_ZdlPv"));
	/* Its mmap does not call libc's. */
	assert_non_null(function_named(tcmalloc, "mmap"));
	assert_addresses_are_unique(tcmalloc);
	ml_allocators_deinit(&found);
}

static void test_mimalloc(void **state)
{
	struct ml_allocators found;

	find_one(MIMALLOC, false, &found);
	assert_int_equal(found.list.count, 1);
	const struct ml_allocator *mimalloc = &found.list.items[0];
	assert_string_equal(mimalloc->kind, "mimalloc");
	assert_emulated(mimalloc, "malloc", ML_ROLE_MALLOC);
	/* The size has moved to the second argument by then. */
	assert_int_equal(function_named(mimalloc, "malloc")->probe_role, ML_ROLE_ALIGNED_ALLOC);
	assert_non_null(function_named(mimalloc, "mi_heap_malloc"));
	assert_non_null(function_named(mimalloc, "mi_reallocarray"));
	assert_emulated(mimalloc, "free", ML_ROLE_FREE);
	assert_null(function_named(mimalloc, "mi_malloc"));
	assert_null(function_named(mimalloc, "mi_free_size"));
	assert_null(function_named(mimalloc, "aligned_alloc"));
	assert_addresses_are_unique(mimalloc);
	ml_allocators_deinit(&found);
}

static void test_tbb(void **state)
{
	struct ml_allocators found;

	find_one(TBB, false, &found);
	assert_int_equal(found.list.count, 1);
	const struct ml_allocator *tbb = &found.list.items[0];
	assert_string_equal(tbb->kind, "tbbmalloc");
	assert_int_equal(function_named(tbb, "scalable_malloc")->role, ML_ROLE_MALLOC);
	assert_int_equal(function_named(tbb, "scalable_free")->role, ML_ROLE_FREE);
	assert_int_equal(function_named(tbb, "scalable_realloc")->role, ML_ROLE_REALLOC);
	assert_int_equal(function_named(tbb, "scalable_aligned_free")->role, ML_ROLE_FREE);
	assert_addresses_are_unique(tbb);
	ml_allocators_deinit(&found);
}

static void test_musl(void **state)
{
	struct ml_allocators found;

	find_one(MUSL, false, &found);
	assert_int_equal(found.list.count, 1);
	const struct ml_allocator *musl = &found.list.items[0];
	assert_string_equal(musl->kind, "musl");
	assert_emulated(musl, "malloc", ML_ROLE_MALLOC);
	assert_emulated(musl, "free", ML_ROLE_FREE);
	assert_emulated(musl, "mmap", ML_ROLE_MMAP);
	assert_null(function_named(musl, "memalign"));
	assert_null(function_named(musl, "valloc"));
	ml_allocators_deinit(&found);
}

static void test_no_allocators(void **state)
{
	const char *const paths[] = {getenv("TARGET_USER"), LIBSTDCXX, LOADER, NULL};
	struct ml_allocators found;

	assert_null(find(paths, true, NULL, &found));
	assert_int_equal(found.list.count, 0);
	assert_string_equal(found.looked_at,
			    "allocators_target_user, libstdc++.so.6, ld-linux-x86-64.so.2");
	ml_allocators_deinit(&found);
}

static void test_preloaded_allocator(void **state)
{
	const char *const paths[] = {getenv("TARGET_USER"), JEMALLOC, LIBC, NULL};
	struct ml_allocators found;

	assert_null(find(paths, true, NULL, &found));
	assert_int_equal(found.list.count, 2);
	assert_string_equal(found.list.items[0].kind, "jemalloc");
	assert_string_equal(found.list.items[1].kind, "glibc");
	ml_allocators_deinit(&found);
}

static void assert_static_program(const char *path)
{
	struct ml_allocators found;
	size_t mremaps = 0;

	find_one(path, true, &found);
	assert_int_equal(found.list.count, 1);
	const struct ml_allocator *program = &found.list.items[0];
	assert_string_equal(program->kind, "static");
	assert_emulated(program, "malloc", ML_ROLE_MALLOC);
	assert_emulated(program, "free", ML_ROLE_FREE);
	assert_emulated(program, "calloc", ML_ROLE_CALLOC);
	assert_emulated(program, "realloc", ML_ROLE_REALLOC);
	/* The program has a private function called mremap. */
	ml_array_each (function, &program->functions)
		mremaps += !strcmp(function->name, "mremap");
	assert_int_equal(mremaps, 1);
	ml_allocators_deinit(&found);
}

static void test_static_glibc(void **state)
{
	assert_static_program(getenv("TARGET_STATIC"));
}

static void test_static_musl(void **state)
{
	assert_static_program(getenv("TARGET_MUSL"));
}

static void test_stripped_static_program(void **state)
{
	struct ml_allocators found;

	find_one(getenv("TARGET_STRIPPED"), true, &found);
	assert_int_equal(found.list.count, 0);
	assert_string_equal(found.looked_at, "allocators_target_stripped");
	ml_allocators_deinit(&found);
}

static void test_linked_in_jemalloc(void **state)
{
	const char *const paths[] = {getenv("TARGET_JEMALLOC"), LIBC, NULL};
	struct ml_allocators found;

	assert_null(find(paths, true, NULL, &found));
	assert_int_equal(found.list.count, 2);
	assert_string_equal(found.list.items[0].kind, "jemalloc");
	assert_emulated(&found.list.items[0], "malloc", ML_ROLE_MALLOC);
	assert_null(function_named(&found.list.items[0], "mremap"));
	ml_allocators_deinit(&found);
}

static void test_object(void **state)
{
	const char *const paths[] = {getenv("TARGET_USER"), JEMALLOC, LIBC, NULL};
	struct ml_allocator_options options = {.object = "c"};
	struct ml_allocators found;

	assert_null(find(paths, true, &options, &found));
	assert_int_equal(found.list.count, 1);
	assert_string_equal(found.list.items[0].kind, "glibc");
	ml_allocators_deinit(&found);
	options.object = "libnothere.so";
	assert_null(find(paths, true, &options, &found));
	assert_int_equal(found.list.count, 0);
	assert_string_equal(found.looked_at,
			    "no module called libnothere.so (of allocators_target_user, "
			    "libjemalloc.so.2, libc.so.6)");
	ml_allocators_deinit(&found);
}

/* What a hostile target may hand us: each byte of the file may be anything. */
static void test_damaged_files(void **state)
{
	char path[] = "/tmp/ml-damaged-XXXXXX";
	int fd = mkstemp(path), source = open(MIMALLOC, O_RDONLY | O_CLOEXEC);
	static uint8_t bytes[1 << 18];
	ssize_t size = source >= 0 ? read(source, bytes, sizeof(bytes)) : -1;
	uint32_t seed = 23;

	assert_true(fd >= 0);
	unlink(path);
	for (int round = 0; size > 0 && round < 101; round++) {
		struct ml_allocator_candidate candidate = {0};
		struct ml_allocators found;

		for (int i = 0; i < 101; i++) {
			seed = seed * 1664525u + 1013904223u;
			bytes[(seed >> 8) % (size_t)size] ^= (uint8_t)(seed >> 3);
		}
		assert_int_equal(pwrite(fd, bytes, (size_t)size, 0), size);
		struct ml_error *error = ml_module_open(dup(fd), path, &candidate.module);
		if (error) {
			ml_error_free(error);
			continue;
		}
		assert_null(ml_allocators_find(&candidate, 1, NULL, &found));
		ml_allocators_deinit(&found);
		ml_module_unref(candidate.module);
	}
	close(source);
	close(fd);
}

static void test_user_functions(void **state)
{
	const char *const paths[] = {getenv("TARGET_USER"), LIBC, NULL};
	const char *const allocates[] = {"pool_take:1", NULL}, *const frees[] = {"pool_give", NULL};
	struct ml_allocator_options options = {
		.symbols_prefix = "acme_", .alloc_fns = allocates, .free_fns = frees};
	struct ml_allocators found;

	assert_null(find(paths, true, &options, &found));
	assert_int_equal(found.list.count, 2);
	const struct ml_allocator *user = &found.list.items[0];
	assert_string_equal(user->kind, "user");
	assert_int_equal(user->functions.count, 4);
	assert_emulated(user, "pool_take", ML_ROLE_MALLOC);
	assert_emulated(user, "pool_give", ML_ROLE_FREE);
	assert_emulated(user, "acme_malloc", ML_ROLE_MALLOC);
	assert_emulated(user, "acme_free", ML_ROLE_FREE);
	ml_allocators_deinit(&found);
}

static void assert_usage_error(const struct ml_allocator_options *options, const char *words)
{
	const char *const paths[] = {getenv("TARGET_USER"), LIBC, NULL};
	struct ml_allocators found;
	struct ml_error *error = find(paths, true, options, &found);

	assert_non_null(error);
	assert_int_equal(ml_error_kind(error), ML_ERROR_USAGE);
	assert_non_null(strstr(ml_error_message(error), words));
	assert_non_null(strstr(ml_error_message(error), "allocators_target_user, libc.so.6"));
	ml_error_free(error);
}

static void test_user_functions_not_there(void **state)
{
	const char *const names[] = {"no_such_function", NULL};

	assert_usage_error(&(struct ml_allocator_options){.alloc_fns = names},
			   "--alloc-fn no_such_function");
	assert_usage_error(&(struct ml_allocator_options){.free_fns = names},
			   "--free-fn no_such_function");
	assert_usage_error(&(struct ml_allocator_options){.symbols_prefix = "zzz_"}, "zzz_malloc");
}

static void test_ifunc_is_left_alone(void **state)
{
	const char *const paths[] = {LIBC, NULL};
	const char *const names[] = {"strlen", NULL};
	struct ml_allocators found;
	struct ml_error *error =
		find(paths, false, &(struct ml_allocator_options){.alloc_fns = names}, &found);

	assert_non_null(error);
	assert_int_equal(ml_error_kind(error), ML_ERROR_USAGE);
	assert_non_null(strstr(ml_error_message(error), "IFUNC"));
	ml_error_free(error);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_glibc),
		cmocka_unit_test(test_jemalloc),
		cmocka_unit_test(test_tcmalloc),
		cmocka_unit_test(test_mimalloc),
		cmocka_unit_test(test_tbb),
		cmocka_unit_test(test_musl),
		cmocka_unit_test(test_no_allocators),
		cmocka_unit_test(test_preloaded_allocator),
		cmocka_unit_test(test_static_glibc),
		cmocka_unit_test(test_static_musl),
		cmocka_unit_test(test_stripped_static_program),
		cmocka_unit_test(test_linked_in_jemalloc),
		cmocka_unit_test(test_object),
		cmocka_unit_test(test_damaged_files),
		cmocka_unit_test(test_user_functions),
		cmocka_unit_test(test_user_functions_not_there),
		cmocka_unit_test(test_ifunc_is_left_alone),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

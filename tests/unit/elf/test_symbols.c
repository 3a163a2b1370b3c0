/* SPDX-License-Identifier: BSD-2-Clause */
#include "fixture.h"

static void assert_at(struct ml_module *module, uint64_t address, const char *name)
{
	struct ml_symbol symbol;
	bool found = ml_module_symbol_at(module, address, &symbol);

	if (!name) {
		assert_false(found);
		return;
	}
	assert_true(found);
	assert_string_equal(symbol.name, name);
	assert_true(symbol.address <= address);
}

static void finds_functions_by_name(void **state)
{
	struct ml_module *module = fixture_open("app");
	struct ml_symbol symbol;

	assert_true(ml_module_function_named(module, "local_one", &symbol));
	assert_true(symbol.size > 0);
	assert_false(symbol.is_dynamic);
	assert_at(module, symbol.address, "local_one");
	assert_at(module, symbol.address + symbol.size - 1, "local_one");
	assert_false(ml_module_function_named(module, "printf", &symbol));
	assert_false(ml_module_function_named(module, "no_such", &symbol));
	assert_false(ml_module_function_named(module, "", &symbol));
	assert_at(module, 0, NULL);
	assert_at(module, UINT64_MAX, NULL);
	ml_module_unref(module);
}

static void prefers_public_short_names(void **state)
{
	struct ml_module *module = fixture_open("lib.so");
	struct ml_symbol symbol;
	uint64_t address = fixture_address(module, "plain");

	assert_true(ml_module_function_named(module, "__internal_alias", &symbol));
	assert_int_equal(symbol.address, address);
	assert_true(ml_module_function_named(module, "public_new", &symbol));
	assert_int_equal(symbol.address, address);
	/* "plain", "versioned", "plain_longer", "__internal_alias" and the local "public_new". */
	assert_at(module, address, "plain");
	assert_at(module, address + 1, "plain");
	assert_true(ml_module_function_named(module, "plain", &symbol));
	assert_true(symbol.is_dynamic);
	ml_module_unref(module);
}

static void cuts_versions_off(void **state)
{
	struct ml_module *module = fixture_open("lib.so");
	struct ml_symbol symbol;

	assert_true(ml_module_function_named(module, "versioned", &symbol));
	assert_false(ml_module_function_named(module, "versioned@@V2", &symbol));
	assert_false(ml_module_function_named(module, "versioned@V1", &symbol));
	ml_module_unref(module);
}

static void marks_ifuncs(void **state)
{
	struct ml_module *module = fixture_open("lib.so");
	struct ml_symbol symbol;

	assert_true(ml_module_function_named(module, "chosen", &symbol));
	assert_true(symbol.is_ifunc);
	assert_true(ml_module_function_named(module, "plain", &symbol));
	assert_false(symbol.is_ifunc);
	ml_module_unref(module);
}

static void extends_symbols_without_size(void **state)
{
	struct ml_module *module = fixture_open("lib.so");
	struct ml_symbol symbol;
	uint64_t first = fixture_address(module, "asm_first");
	uint64_t second = fixture_address(module, "asm_second");
	uint64_t sized = fixture_address(module, "asm_sized");

	assert_true(ml_module_function_named(module, "asm_first", &symbol));
	assert_int_equal(symbol.size, 0);
	assert_int_equal(second - first, 16);
	assert_at(module, first + 15, "asm_first");
	assert_at(module, second, "asm_second");
	assert_at(module, second + 23, "asm_second");
	/* A label inside a function with a size does not cut it in two. */
	assert_at(module, sized + 8, "asm_sized");
	assert_at(module, sized + 15, "asm_sized");
	ml_module_unref(module);
}

static void stripped_files_name_only_what_is_covered(void **state)
{
	struct ml_module *full = fixture_open("lib.so");
	struct ml_module *stripped = fixture_open("lib-stripped.so");
	uint64_t hidden = fixture_address(full, "hidden_one");

	assert_at(full, hidden, "hidden_one");
	assert_at(stripped, hidden, NULL);
	assert_at(stripped, fixture_address(full, "plain"), "plain");
	ml_module_unref(full);
	ml_module_unref(stripped);
}

static void reads_mini_debug_info(void **state)
{
	struct ml_module *full = fixture_open("lib.so");
	struct ml_module *mini = fixture_open("lib-mini.so");
	uint64_t hidden = fixture_address(full, "hidden_one");
	struct ml_symbol symbol;

	assert_at(mini, hidden, "hidden_one");
	assert_at(mini, fixture_address(full, "plain"), "plain");
	assert_true(ml_module_function_named(mini, "hidden_one", &symbol));
	assert_false(symbol.is_dynamic);
	ml_module_unref(full);
	ml_module_unref(mini);
}

static void refuses_decompression_bombs(void **state)
{
	struct ml_module *module = fixture_open("lib-bomb.so");

	assert_at(module, fixture_address(module, "plain"), "plain");
	ml_module_unref(module);
}

static void count(const struct ml_symbol *symbol, void *context)
{
	unsigned int *counts = context;

	counts[symbol->is_dynamic]++;
}

/* What is found without the symbols in memory is what is found with them. */
static void scans_as_it_reads(void **state)
{
	static const char *const files[] = {"lib.so", "lib-mini.so", "lib-stripped.so",
					    "app-static"};
	static const char *const names[] = {"plain", "hidden_one", "malloc", "no_such_function"};

	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		struct ml_module *scanned = fixture_open(files[i]), *read = fixture_open(files[i]);
		unsigned int in_scan[2] = {0}, in_memory[2] = {0};

		ml_module_scan_functions(scanned, count, in_scan);
		ml_module_each_function(read, count, in_memory);
		assert_true(in_memory[false] + in_memory[true] > 4);
		assert_memory_equal(in_scan, in_memory, sizeof(in_scan));
		for (size_t k = 0; k < sizeof(names) / sizeof(*names); k++) {
			struct ml_symbol a = {0}, b = {0};

			assert_int_equal(ml_module_function_named(scanned, names[k], &a),
					 ml_module_function_named(read, names[k], &b));
			assert_int_equal(a.address, b.address);
			assert_int_equal(a.size, b.size);
			assert_int_equal(a.is_dynamic, b.is_dynamic);
		}
		ml_module_unref(scanned);
		ml_module_unref(read);
	}
}

static void works_without_section_headers(void **state)
{
	static const char *const names[] = {"headless-lib.so", "headless-lib-sysv.so"};

	for (size_t i = 0; i < 2; i++) {
		struct ml_module *full = fixture_open(names[i] + strlen("headless-"));
		struct ml_module *headless = fixture_open(names[i]);
		unsigned int in_full[2] = {0}, in_headless[2] = {0};

		ml_module_each_function(full, count, in_full);
		ml_module_each_function(headless, count, in_headless);
		assert_true(in_full[true] >= 8);
		assert_int_equal(in_headless[true], in_full[true]);
		assert_int_equal(in_headless[false], 0);
		assert_at(headless, fixture_address(full, "plain"), "plain");
		if (ml_module_build_id_hex(full))
			assert_string_equal(ml_module_build_id_hex(headless),
					    ml_module_build_id_hex(full));
		ml_module_unref(full);
		ml_module_unref(headless);
	}
}

static void adds_symbols_of_a_debug_file(void **state)
{
	struct ml_module *full = fixture_open("lib.so");
	struct ml_module *stripped = fixture_open("lib-stripped.so");
	uint64_t hidden = fixture_address(full, "hidden_one");

	assert_at(stripped, hidden, NULL);
	assert_null(ml_module_add_symbols(
		stripped, open(fixture_path("lib.so"), O_RDONLY | O_CLOEXEC), "lib.so"));
	assert_at(stripped, hidden, "hidden_one");

	ML_ERROR_CLEANUP struct ml_error *error = ml_module_add_symbols(
		stripped, open(fixture_path("script"), O_RDONLY | O_CLOEXEC), "script");

	assert_non_null(error);
	assert_at(stripped, hidden, "hidden_one");
	ml_module_unref(full);
	ml_module_unref(stripped);
}

static int build(void **state)
{
	return fixture_unpack(ELF_FIXTURES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_functions_by_name),
		cmocka_unit_test(prefers_public_short_names),
		cmocka_unit_test(cuts_versions_off),
		cmocka_unit_test(marks_ifuncs),
		cmocka_unit_test(extends_symbols_without_size),
		cmocka_unit_test(stripped_files_name_only_what_is_covered),
		cmocka_unit_test(reads_mini_debug_info),
		cmocka_unit_test(refuses_decompression_bombs),
		cmocka_unit_test(scans_as_it_reads),
		cmocka_unit_test(works_without_section_headers),
		cmocka_unit_test(adds_symbols_of_a_debug_file),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, build, fixture_remove);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "symbols/kernel_symbols.h"

#include "symbols/symbolizer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

static void parse(const char *text, struct ml_kernel_symbols *out)
{
	ml_kernel_symbols_parse(ml_strdup(text), out);
}

static void finds_functions_and_modules(void **state)
{
	struct ml_kernel_symbols symbols;
	const struct ml_kernel_symbol *symbol;

	parse("ffffffff81000200 t second\n"
	      "ffffffff81000100 T first\n"
	      "ffffffff81000100 t first_alias\n"
	      "ffffffff81000180 D some_data\n"
	      "ffffffffc0000000 t of_module\t[ext4]\n"
	      "ffffffffc0100000 t bpf_prog_1\t[bpf]\n",
	      &symbols);
	assert_int_equal(symbols.list.count, 5);
	symbol = ml_kernel_symbols_find(&symbols, 0xffffffff81000190);
	assert_string_equal(symbol->name, "first");
	assert_string_equal(symbol->module, "kernel");
	symbol = ml_kernel_symbols_find(&symbols, 0xffffffff81000200);
	assert_string_equal(symbol->name, "second");
	symbol = ml_kernel_symbols_find(&symbols, 0xffffffffc0000010);
	assert_string_equal(symbol->name, "of_module");
	assert_string_equal(symbol->module, "ext4");
	assert_null(ml_kernel_symbols_find(&symbols, 0xffffffff81000000));
	assert_null(ml_kernel_symbols_find(&symbols, 0xffffffffffffff00));
	assert_null(ml_kernel_symbols_find(&symbols, 0));
	ml_kernel_symbols_deinit(&symbols);
}

static void knows_nothing_when_addresses_are_hidden(void **state)
{
	struct ml_kernel_symbols symbols;

	parse("0000000000000000 T first\n0000000000000000 t second\t[ext4]\n", &symbols);
	assert_int_equal(symbols.list.count, 0);
	assert_null(ml_kernel_symbols_find(&symbols, 0));
	assert_null(ml_kernel_symbols_find(&symbols, 0xffffffff81000000));
	ml_kernel_symbols_deinit(&symbols);
}

static void takes_any_text(void **state)
{
	static const char *const texts[] = {
		"",      "\n\n",      "zzz",          "12 T",
		"12 T ", "12 T a\t[", "12 T a\t[]\n", "ffffffffffffffffffff T b"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		struct ml_kernel_symbols symbols;

		parse(texts[i], &symbols);
		assert_true(symbols.list.count <= 1);
		ml_kernel_symbols_deinit(&symbols);
	}
}

static void agrees_with_this_kernel(void **state)
{
	struct ml_kernel_symbols symbols = {0};
	struct ml_symbolizer *symbolizer = ml_symbolizer_create(true);
	struct ml_symbol_frames frames = {0};

	assert_null(ml_kernel_symbols_read(&symbols));
	if (symbols.list.count > 0) {
		const struct ml_kernel_symbol *some = &symbols.list.items[symbols.list.count / 2];
		const struct ml_kernel_symbol *found =
			ml_kernel_symbols_find(&symbols, some->address);

		assert_int_equal(found->address, some->address);
		ml_symbolizer_kernel(symbolizer, some->address, &frames);
		assert_string_equal(frames.list.items[0].mangled, found->name);
		assert_string_equal(ml_symbolizer_kernel_module(symbolizer, some->address),
				    found->module);
	}
	ml_symbolizer_kernel(symbolizer, 16, &frames);
	assert_null(frames.list.items[0].symbol);
	assert_string_equal(ml_symbolizer_kernel_module(symbolizer, 16), "kernel");
	ml_array_free(&frames.list);
	ml_symbolizer_destroy(symbolizer);
	ml_kernel_symbols_deinit(&symbols);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_functions_and_modules),
		cmocka_unit_test(knows_nothing_when_addresses_are_hidden),
		cmocka_unit_test(takes_any_text),
		cmocka_unit_test(agrees_with_this_kernel),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

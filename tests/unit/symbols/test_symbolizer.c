/* SPDX-License-Identifier: BSD-2-Clause */
#include "../elf/fixture.h"

#include "symbols/symbolizer.h"

#include <elf.h>
#include <zstd.h>

/** The module's addresses of one function, looked up one by one. */
struct wanted {
	const char *name;
	const char *file;
	int line;
	bool is_inlined;
};

static bool is_frame(const struct ml_symbol_frame *frame, const struct wanted *wanted)
{
	size_t length = strlen(wanted->file);

	return frame->symbol && strcmp(frame->symbol, wanted->name) == 0 && frame->file &&
	       strlen(frame->file) >= length &&
	       strcmp(frame->file + strlen(frame->file) - length, wanted->file) == 0 &&
	       frame->line == wanted->line && frame->is_inlined == wanted->is_inlined;
}

/* True when some address in @p function has exactly the frames @p wanted. */
static bool has_chain(struct ml_symbolizer *symbolizer, struct ml_module *module,
		      const char *function, const struct wanted *wanted, size_t count)
{
	struct ml_symbol_frames frames = {0};
	struct ml_symbol symbol;
	bool found = false;

	assert_true(ml_module_function_named(module, function, &symbol));
	for (uint64_t at = symbol.address; at < symbol.address + symbol.size && !found; at++) {
		ml_symbolizer_lookup(symbolizer, module, at, false, &frames);
		assert_true(frames.list.count >= 1);

		const struct ml_symbol_frame *last = &frames.list.items[frames.list.count - 1];

		assert_string_equal(last->mangled, function);
		assert_int_equal(last->offset, at - symbol.address);
		assert_false(last->is_inlined);
		found = frames.list.count == count;
		for (size_t i = 0; found && i < count; i++)
			found = is_frame(&frames.list.items[i], &wanted[i]);
	}
	ml_array_free(&frames.list);
	return found;
}

static void assert_inlines(const char *name)
{
	static const struct wanted first[] = {
		{"small_inner", "deep.h", 102, true},
		{"small_outer", "deep.h", 106, true},
		{"fixed_caller", "inlines.c", 202, false},
	};
	static const struct wanted second[] = {
		{"small_inner", "deep.h", 102, true},
		{"small_outer", "deep.h", 107, true},
		{"fixed_caller", "inlines.c", 202, false},
	};
	static const struct wanted plain[] = {{"fixed_caller", "inlines.c", 204, false}};
	struct ml_module *module = fixture_open(name);
	struct ml_symbolizer *symbolizer = ml_symbolizer_create(true);

	assert_true(has_chain(symbolizer, module, "fixed_caller", first, 3));
	assert_true(has_chain(symbolizer, module, "fixed_caller", second, 3));
	assert_true(has_chain(symbolizer, module, "fixed_caller", plain, 1));
	ml_module_unref(module);
	ml_symbolizer_destroy(symbolizer);
}

static void unfolds_inlined_functions(void **state)
{
	assert_inlines("inlines-O0-4");
	assert_inlines("inlines-O2-4");
	assert_inlines("inlines-O2-5");
	assert_inlines("inlines-O2-5-gz");
	if (fixture_exists("inlines-clang"))
		assert_inlines("inlines-clang");
	if (fixture_exists("inlines-clang-64"))
		assert_inlines("inlines-clang-64");
}

/* A copy of the file @p name whose debug sections are compressed with zstd, as @p copy; binutils
 * and LLVM of 2022 cannot make one. */
static void compress_sections(const char *name, const char *copy)
{
	static uint8_t bytes[1 << 20];
	FILE *file = fopen(fixture_path(name), "rb");
	size_t size = fread(bytes, 1, sizeof(bytes) / 2, file);
	const Elf64_Ehdr *header = (const Elf64_Ehdr *)bytes;
	Elf64_Shdr *sections = (Elf64_Shdr *)(bytes + header->e_shoff);
	const char *names = (const char *)bytes + sections[header->e_shstrndx].sh_offset;

	fclose(file);
	for (size_t i = 0; i < header->e_shnum; i++) {
		Elf64_Chdr chdr = {.ch_type = 2, .ch_size = sections[i].sh_size, .ch_addralign = 1};
		uint8_t *to = bytes + size + sizeof(chdr);

		if (strncmp(names + sections[i].sh_name, ".debug_", 7) != 0)
			continue;

		size_t packed = ZSTD_compress(to, sizeof(bytes) - size - sizeof(chdr),
					      bytes + sections[i].sh_offset, chdr.ch_size, 3);

		assert_false(ZSTD_isError(packed));
		memcpy(bytes + size, &chdr, sizeof(chdr));
		sections[i].sh_offset = size;
		sections[i].sh_size = sizeof(chdr) + packed;
		sections[i].sh_flags |= SHF_COMPRESSED;
		size += sections[i].sh_size;
	}
	file = fopen(fixture_path(copy), "wb");
	assert_int_equal(fwrite(bytes, 1, size, file), size);
	fclose(file);
}

static void decompresses_with_zstd(void **state)
{
	compress_sections("inlines-O2-5", "inlines-O2-5-zstd");
	assert_inlines("inlines-O2-5-zstd");
}

/* A program that linkers put elsewhere, and a library whose segments do not begin at 0. */
static void knows_files_at_unusual_addresses(void **state)
{
	static const struct {
		const char *name;
		uint64_t address;
	} files[] = {{"inlines-high", 0x60000000}, {"inlines-prelinked.so", 0x3000000000}};

	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		struct ml_module *module = fixture_open(files[i].name);
		uint64_t address = fixture_address(module, "fixed_caller"), offset, again;

		assert_in_range(address, files[i].address, files[i].address + 0x10000);
		assert_true(ml_module_offset_of_address(module, address, &offset));
		assert_true(offset < 0x10000);
		assert_true(ml_module_address_of_offset(module, offset, &again));
		assert_int_equal(again, address);
		ml_module_unref(module);
		assert_inlines(files[i].name);
	}
}

static void assert_classes(const char *name)
{
	static const struct wanted twice[] = {
		{"space::box<long>::get()", "classes.cc", 104, true},
		{"space::box<long>::twice()", "classes.cc", 108, false},
	};
	static const struct wanted method[] = {
		{"with_local(int)::local::method(int)", "classes.cc", 203, false},
	};
	struct ml_module *module = fixture_open(name);
	struct ml_symbolizer *symbolizer = ml_symbolizer_create(true);

	assert_true(has_chain(symbolizer, module, "_ZN5space3boxIlE5twiceEv", twice, 2));
	assert_true(has_chain(symbolizer, module, "_ZZ10with_localiEN5local6methodEi", method, 1));
	ml_module_unref(module);
	ml_symbolizer_destroy(symbolizer);
}

static void knows_methods_and_local_classes(void **state)
{
	assert_classes("classes");
	if (fixture_exists("classes-clang"))
		assert_classes("classes-clang");
}

/* abort() does not come back: the return address behind it is the next function's. */
static void return_addresses_belong_to_the_call(void **state)
{
	struct ml_module *module = fixture_open("inlines-O2-5");
	struct ml_symbolizer *symbolizer = ml_symbolizer_create(true);
	struct ml_symbol_frames frames = {0};
	struct ml_symbol symbol;

	assert_true(ml_module_function_named(module, "fixed_ending", &symbol));

	uint64_t end = symbol.address + symbol.size;

	ml_symbolizer_lookup(symbolizer, module, end, true, &frames);
	assert_string_equal(frames.list.items[0].symbol, "fixed_ending");
	assert_int_equal(frames.list.items[0].offset, symbol.size);
	assert_int_equal(frames.list.items[0].line, 208);
	ml_symbolizer_lookup(symbolizer, module, end, false, &frames);
	if (frames.list.items[0].symbol)
		assert_string_not_equal(frames.list.items[0].symbol, "fixed_ending");
	ml_array_free(&frames.list);
	ml_module_unref(module);
	ml_symbolizer_destroy(symbolizer);
}

static void answers_the_same_again(void **state)
{
	struct ml_module *module = fixture_open("inlines-O2-5");
	struct ml_symbolizer *symbolizer = ml_symbolizer_create(true);
	struct ml_symbol_frames a = {0}, b = {0};
	uint64_t address = fixture_address(module, "fixed_caller") + 5;

	ml_symbolizer_lookup(symbolizer, module, address, false, &a);
	ml_symbolizer_lookup(symbolizer, module, address, false, &b);
	assert_int_equal(a.list.count, b.list.count);
	for (size_t i = 0; i < a.list.count; i++) {
		assert_ptr_equal(a.list.items[i].symbol, b.list.items[i].symbol);
		assert_ptr_equal(a.list.items[i].file, b.list.items[i].file);
	}
	ml_array_free(&a.list);
	ml_array_free(&b.list);
	ml_module_unref(module);
	ml_symbolizer_destroy(symbolizer);
}

static void says_nothing_of_unknown_addresses(void **state)
{
	static const uint64_t addresses[] = {0, 1, 0x100000, UINT64_MAX};
	struct ml_module *module = fixture_open("inlines-O2-5");
	struct ml_symbolizer *symbolizer = ml_symbolizer_create(true);
	struct ml_symbol_frames frames = {0};

	for (size_t i = 0; i < 2 * sizeof(addresses) / sizeof(*addresses); i++) {
		ml_symbolizer_lookup(symbolizer, module, addresses[i / 2], i % 2, &frames);
		assert_int_equal(frames.list.count, 1);
		assert_null(frames.list.items[0].symbol);
		assert_null(frames.list.items[0].file);
		assert_int_equal(frames.list.items[0].line, 0);
	}
	ml_array_free(&frames.list);
	ml_module_unref(module);
	ml_symbolizer_destroy(symbolizer);
}

static void leaves_lines_out_on_request(void **state)
{
	struct ml_module *module = fixture_open("inlines-O2-5");
	struct ml_symbolizer *symbolizer = ml_symbolizer_create(false);
	struct ml_symbol_frames frames = {0};

	ml_symbolizer_lookup(symbolizer, module, fixture_address(module, "fixed_caller") + 5, false,
			     &frames);
	assert_int_equal(frames.list.count, 1);
	assert_string_equal(frames.list.items[0].symbol, "fixed_caller");
	assert_int_equal(frames.list.items[0].offset, 5);
	assert_null(frames.list.items[0].file);
	ml_array_free(&frames.list);
	ml_module_unref(module);
	ml_symbolizer_destroy(symbolizer);
}

static int build(void **state)
{
	return fixture_unpack(SYMBOLS_FIXTURES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unfolds_inlined_functions),
		cmocka_unit_test(decompresses_with_zstd),
		cmocka_unit_test(knows_files_at_unusual_addresses),
		cmocka_unit_test(knows_methods_and_local_classes),
		cmocka_unit_test(return_addresses_belong_to_the_call),
		cmocka_unit_test(answers_the_same_again),
		cmocka_unit_test(says_nothing_of_unknown_addresses),
		cmocka_unit_test(leaves_lines_out_on_request),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, build, fixture_remove);
}

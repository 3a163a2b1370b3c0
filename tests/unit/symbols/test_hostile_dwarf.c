/* SPDX-License-Identifier: BSD-2-Clause */
/* Damaged debug information: every lookup ends, without a fault, with at least one frame. */
#include "../elf/fixture.h"

#include "base/clock.h"
#include "symbols/symbolizer.h"

#include <elf.h>

#define MUTATIONS 400

static uint8_t *load(const char *name, size_t *size)
{
	FILE *file = fopen(fixture_path(name), "rb");

	assert_non_null(file);
	assert_int_equal(fseek(file, 0, SEEK_END), 0);
	*size = (size_t)ftell(file);
	rewind(file);

	uint8_t *bytes = malloc(*size);

	assert_int_equal(fread(bytes, 1, *size, file), *size);
	fclose(file);
	return bytes;
}

static void exercise(const uint8_t *bytes, size_t size, uint64_t first, uint64_t last)
{
	const char *path = fixture_path("mutant");
	FILE *file = fopen(path, "wb");
	struct ml_module *module;

	assert_int_equal(fwrite(bytes, 1, size, file), size);
	fclose(file);

	ML_ERROR_CLEANUP struct ml_error *error =
		ml_module_open(open(path, O_RDONLY | O_CLOEXEC), path, &module);

	if (error)
		return;

	struct ml_symbolizer *symbolizer = ml_symbolizer_create(true);
	struct ml_symbol_frames frames = {0};
	size_t total = 0;

	for (uint64_t at = first; at < last; at += 3) {
		ml_symbolizer_lookup(symbolizer, module, at, at & 1, &frames);
		assert_true(frames.list.count >= 1);
		ml_array_each (frame, &frames.list) {
			total += frame->symbol ? strlen(frame->symbol) : 0;
			total += frame->file ? strlen(frame->file) : 0;
		}
	}
	assert_true(total < 1U << 30);
	ml_array_free(&frames.list);
	ml_symbolizer_destroy(symbolizer);
	ml_module_unref(module);
}

/* Changes bytes of the debug sections only: the file around them stays whole. */
static void damage(const char *name, unsigned int seed)
{
	struct ml_module *module = fixture_open(name);
	uint64_t first = fixture_address(module, "main") & ~(uint64_t)0xfff;
	size_t size;
	uint8_t *original = load(name, &size);
	uint8_t *mutant = malloc(size);
	const Elf64_Ehdr *header = (const Elf64_Ehdr *)original;
	const Elf64_Shdr *sections = (const Elf64_Shdr *)(original + header->e_shoff);
	const char *names = (const char *)original + sections[header->e_shstrndx].sh_offset;
	uint64_t worst_ns = 0;

	ml_module_unref(module);
	srandom(seed);
	for (unsigned int i = 0; i < MUTATIONS; i++) {
		unsigned int flips = 1 + (unsigned int)random() % 12;
		uint64_t start_ns = ml_monotonic_ns();

		memcpy(mutant, original, size);
		while (flips > 0) {
			const Elf64_Shdr *section = &sections[(size_t)random() % header->e_shnum];

			if (strncmp(names + section->sh_name, ".debug_", 7) != 0)
				continue;
			flips--;
			mutant[section->sh_offset + (size_t)random() % section->sh_size] =
				(uint8_t)(random() % 3 ? random() : 0xff);
		}
		exercise(mutant, size, first, first + 0x400);
		if (ml_monotonic_ns() - start_ns > worst_ns)
			worst_ns = ml_monotonic_ns() - start_ns;
	}
	assert_true(worst_ns < 20 * ML_NS_PER_SECOND);
	free(mutant);
	free(original);
}

static void survives_damaged_dwarf_4(void **state)
{
	damage("inlines-O2-4", 11);
}

static void survives_damaged_dwarf_5(void **state)
{
	damage("inlines-O2-5", 12);
	damage("classes", 13);
}

static void survives_damaged_compression(void **state)
{
	damage("inlines-O2-5-gz", 14);
}

static void bounds_endless_nesting(void **state)
{
	struct ml_module *module = fixture_open("nest");
	struct ml_symbolizer *symbolizer = ml_symbolizer_create(true);
	struct ml_symbol_frames frames = {0};
	uint64_t start_ns = ml_clock_ns(CLOCK_THREAD_CPUTIME_ID);

	ml_symbolizer_lookup(symbolizer, module, fixture_address(module, "main"), false, &frames);
	assert_true(ml_clock_ns(CLOCK_THREAD_CPUTIME_ID) - start_ns < 10 * ML_NS_PER_SECOND);
	assert_int_equal(frames.list.count, 1);
	assert_string_equal(frames.list.items[0].symbol, "main");
	ml_array_free(&frames.list);
	ml_symbolizer_destroy(symbolizer);
	ml_module_unref(module);
}

static int build(void **state)
{
	return fixture_unpack(SYMBOLS_FIXTURES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(survives_damaged_dwarf_4),
		cmocka_unit_test(survives_damaged_dwarf_5),
		cmocka_unit_test(survives_damaged_compression),
		cmocka_unit_test(bounds_endless_nesting),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, build, fixture_remove);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Damaged files: whatever is in them, opening and asking ends, and without a fault. */
#include "fixture.h"

#include <elf.h>

#define MUTATIONS 500

struct bytes {
	uint8_t *bytes;
	size_t size;
};

static struct bytes load(const char *name)
{
	FILE *file = fopen(fixture_path(name), "rb");
	struct bytes loaded = {0};

	assert_non_null(file);
	assert_int_equal(fseek(file, 0, SEEK_END), 0);
	loaded.size = (size_t)ftell(file);
	rewind(file);
	loaded.bytes = malloc(loaded.size);
	assert_int_equal(fread(loaded.bytes, 1, loaded.size, file), loaded.size);
	fclose(file);
	return loaded;
}

static void store(const struct bytes *bytes)
{
	FILE *file = fopen(fixture_path("mutant"), "wb");

	assert_int_equal(fwrite(bytes->bytes, 1, bytes->size, file), bytes->size);
	fclose(file);
}

static void count(const struct ml_symbol *symbol, void *context)
{
	size_t *total = context;

	*total += 1 + strlen(symbol->name);
}

/* Asks everything there is to ask; true when the file could be opened. */
static bool exercise(void)
{
	static const char *const sections[] = {".text", ".eh_frame", ".debug_info",
					       ".debug_abbrev"};
	const char *path = fixture_path("mutant");
	struct ml_module *module;
	ML_ERROR_CLEANUP struct ml_error *error =
		ml_module_open(open(path, O_RDONLY | O_CLOEXEC), path, &module);
	size_t total = 0;

	if (error) {
		assert_int_equal(ml_error_kind(error), ML_ERROR_FORMAT);
		return false;
	}
	ml_module_each_function(module, count, &total);
	for (uint64_t address = 0; address < 0x6000; address += 37) {
		struct ml_symbol symbol;
		uint64_t other;
		uint8_t byte;

		if (ml_module_symbol_at(module, address, &symbol))
			total += strlen(symbol.name);
		ml_module_offset_of_address(module, address << (address % 60), &other);
		ml_module_address_of_offset(module, address << (address % 60), &other);
		ml_module_read(module, address, &byte, 1);
	}
	for (size_t i = 0; i < sizeof(sections) / sizeof(*sections); i++) {
		struct ml_section section;

		if (ml_module_section(module, sections[i], &section))
			total += section.bytes[section.size - 1];
	}
	ml_module_unref(module);
	return true;
}

static void mutate(const char *name, unsigned int seed)
{
	struct bytes original = load(name);
	struct bytes mutant = {.bytes = malloc(original.size)};
	unsigned int opened = 0;

	srandom(seed);
	for (unsigned int i = 0; i < MUTATIONS; i++) {
		unsigned int flips = 1 + (unsigned int)random() % 8;

		memcpy(mutant.bytes, original.bytes, original.size);
		mutant.size = original.size;
		if (i % 5 == 0)
			mutant.size = (size_t)random() % original.size + 1;
		while (flips--) {
			/* Half of the damage in the headers at the file's two ends. */
			size_t at = (size_t)random() % original.size;

			if (random() % 4 == 0)
				at %= 1024;
			else if (random() % 3 == 0)
				at = original.size - 1 - at % 4096;
			mutant.bytes[at] = (uint8_t)(random() % 3 ? random() : 0xff);
		}
		store(&mutant);
		opened += exercise();
	}
	/* Most damage must not make the whole file useless. */
	assert_true(opened > MUTATIONS / 10);
	free(mutant.bytes);
	free(original.bytes);
}

static void survives_damage_to_a_library(void **state)
{
	mutate("lib.so", 1);
	mutate("headless-lib.so", 2);
}

static void survives_damage_to_compressed_parts(void **state)
{
	mutate("lib-mini.so", 3);
	mutate("app-compressed", 4);
}

static void survives_lying_headers(void **state)
{
	struct bytes file = load("lib.so");
	Elf64_Ehdr *header = (Elf64_Ehdr *)file.bytes;
	Elf64_Phdr *segments = (Elf64_Phdr *)(file.bytes + header->e_phoff);
	Elf64_Shdr *sections = (Elf64_Shdr *)(file.bytes + header->e_shoff);

	for (unsigned int i = 0; i < header->e_shnum; i++) {
		Elf64_Shdr saved = sections[i];

		sections[i].sh_size = UINT64_MAX - 8;
		store(&file);
		assert_true(exercise());
		sections[i].sh_size = saved.sh_size;
		sections[i].sh_offset = UINT64_MAX - saved.sh_size / 2;
		store(&file);
		assert_true(exercise());
		sections[i] = saved;
		sections[i].sh_addr = UINT64_MAX - 4;
		sections[i].sh_link = UINT32_MAX;
		store(&file);
		assert_true(exercise());
		sections[i] = saved;
	}
	for (unsigned int i = 0; i < header->e_phnum; i++) {
		Elf64_Phdr saved = segments[i];

		segments[i].p_filesz = segments[i].p_memsz = UINT64_MAX - 4;
		store(&file);
		exercise();
		segments[i] = saved;
		segments[i].p_vaddr = UINT64_MAX - saved.p_memsz;
		store(&file);
		exercise();
		segments[i] = segments[0];
		store(&file);
		exercise();
		segments[i] = saved;
	}
	header->e_shoff = UINT64_MAX - 10;
	store(&file);
	assert_true(exercise());
	free(file.bytes);
}

static int build(void **state)
{
	return fixture_unpack(ELF_FIXTURES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(survives_damage_to_a_library),
		cmocka_unit_test(survives_damage_to_compressed_parts),
		cmocka_unit_test(survives_lying_headers),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, build, fixture_remove);
}

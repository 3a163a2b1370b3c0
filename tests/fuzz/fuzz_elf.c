/* SPDX-License-Identifier: BSD-2-Clause */
/** An ELF file: identity, symbols, sections, build-id. */
#include "fuzz.h"

#define ADDRESSES_ASKED 64

/** What ml_module_each_function() saw. */
struct seen {
	struct ml_module *module;
	size_t count;
};

static void see(const struct ml_symbol *symbol, void *context)
{
	struct seen *seen = context;
	struct ml_symbol found;

	FUZZ_CHECK(symbol->name[0] != '\0');
	if (seen->count++ >= ADDRESSES_ASKED)
		return;
	FUZZ_CHECK(ml_module_function_named(seen->module, symbol->name, &found));
	FUZZ_CHECK(strcmp(found.name, symbol->name) == 0);
	if (ml_module_symbol_at(seen->module, symbol->address, &found))
		FUZZ_CHECK(found.address <= symbol->address);
}

static void ask_addresses(struct ml_module *module, uint64_t address)
{
	struct ml_symbol symbol;
	uint64_t offset, again;
	uint8_t byte;

	if (ml_module_symbol_at(module, address, &symbol))
		FUZZ_CHECK(symbol.address <= address &&
			   (symbol.size == 0 || address - symbol.address < symbol.size));
	ml_module_read(module, address, &byte, sizeof(byte));
	if (ml_module_offset_of_address(module, address, &offset))
		ml_module_address_of_offset(module, offset, &again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = {".text", ".eh_frame", ".gnu_debuglink", ".debug_info",
					    ".debug_str"};
	struct ml_module *module = fuzz_module(data, size);
	size_t id_size;

	if (!module)
		return 0;

	const uint8_t *id = ml_module_build_id(module, &id_size);
	struct seen seen = {.module = module};

	if (id)
		FUZZ_CHECK(strlen(ml_module_build_id_hex(module)) == 2 * id_size);
	ml_module_is_executable(module);
	ml_module_is_static(module);
	ml_module_each_function(module, see, &seen);
	for (uint64_t i = 0; i < ADDRESSES_ASKED; i++) {
		ask_addresses(module, i * 256);
		ask_addresses(module, 0x400000 + i * 256);
	}
	ask_addresses(module, UINT64_MAX);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		struct ml_section section;
		volatile uint8_t last;

		if (ml_module_section(module, names[i], &section))
			last = section.bytes[section.size - 1];
		(void)last;
	}
	ml_module_unref(module);
	return 0;
}

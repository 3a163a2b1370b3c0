/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/data_symbol.h"

#include <elf.h>
#include <string.h>

static uint64_t find(struct ml_module *module, const char *symbols, const char *strings,
		     const char *name)
{
	struct ml_section table, names;
	size_t length = strlen(name) + 1;

	if (!ml_module_section(module, symbols, &table) ||
	    !ml_module_section(module, strings, &names))
		return 0;
	for (size_t at = 0; at + sizeof(Elf64_Sym) <= table.size; at += sizeof(Elf64_Sym)) {
		Elf64_Sym symbol;

		memcpy(&symbol, table.bytes + at, sizeof(symbol));
		if (symbol.st_shndx != SHN_UNDEF && symbol.st_name < names.size &&
		    names.size - symbol.st_name >= length &&
		    !memcmp(names.bytes + symbol.st_name, name, length))
			return symbol.st_value;
	}
	return 0;
}

uint64_t ml_data_symbol_address(struct ml_module *module, const char *name)
{
	uint64_t address = find(module, ".dynsym", ".dynstr", name);

	return address ? address : find(module, ".symtab", ".strtab", name);
}

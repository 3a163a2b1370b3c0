/* SPDX-License-Identifier: BSD-2-Clause */
#include "elf/imports.h"

#include "base/file.h"
#include "elf/module_private.h"

#include <stdlib.h>
#include <string.h>

#define RELOCATION_BYTES_MAX (64u << 20)
#define NAME_BYTES_MAX       (64u << 20)
#define CODE_BYTES_A_READ    (1u << 20)
/* Before a distance its opcode, behind it an immediate operand. */
#define OPCODE_BYTES 2u
#define BEHIND_BYTES 8u

/* The tables that a module's relocations refer to. */
struct tables {
	const struct ml_image *image;
	uint64_t symbols; /* offset in the file */
	char *names;
	uint64_t names_size;
};

static bool find_tables(const struct ml_image *image, struct tables *out)
{
	uint64_t symbols, names, offset;

	*out = (struct tables){.image = image};
	if (!ml_image_dynamic(image, DT_SYMTAB, &symbols) ||
	    !ml_image_offset_of(image, symbols, &out->symbols) ||
	    !ml_image_dynamic(image, DT_STRTAB, &names) ||
	    !ml_image_offset_of(image, names, &offset) ||
	    !ml_image_dynamic(image, DT_STRSZ, &out->names_size))
		return false;
	out->names = ml_image_load(image, offset, out->names_size, NAME_BYTES_MAX);
	return out->names;
}

static void visit_one(const struct tables *tables, const Elf64_Rela *relocation,
		      void (*visit)(void *context, const struct ml_import *import), void *context)
{
	uint64_t type = ELF64_R_TYPE(relocation->r_info), number = ELF64_R_SYM(relocation->r_info);
	Elf64_Sym symbol;

	if (!number || (type != R_X86_64_JUMP_SLOT && type != R_X86_64_GLOB_DAT) ||
	    !ml_image_read(tables->image, tables->symbols + number * sizeof(symbol), &symbol,
			   sizeof(symbol)) ||
	    symbol.st_name >= tables->names_size || !tables->names[symbol.st_name])
		return;

	const struct ml_import import = {.slot = relocation->r_offset,
					 .name = tables->names + symbol.st_name,
					 .is_jump = type == R_X86_64_JUMP_SLOT};

	visit(context, &import);
}

static void visit_table(const struct tables *tables, int64_t address_tag, int64_t size_tag,
			void (*visit)(void *context, const struct ml_import *import), void *context)
{
	uint64_t address, size, offset;
	ML_FREE_CLEANUP char *bytes = NULL;

	if (!ml_image_dynamic(tables->image, address_tag, &address) ||
	    !ml_image_dynamic(tables->image, size_tag, &size) ||
	    !ml_image_offset_of(tables->image, address, &offset))
		return;
	bytes = ml_image_load(tables->image, offset, size, RELOCATION_BYTES_MAX);
	for (uint64_t at = 0; bytes && at + sizeof(Elf64_Rela) <= size; at += sizeof(Elf64_Rela)) {
		Elf64_Rela relocation;

		memcpy(&relocation, bytes + at, sizeof(relocation));
		visit_one(tables, &relocation, visit, context);
	}
}

void ml_module_each_import(struct ml_module *module,
			   void (*visit)(void *context, const struct ml_import *import),
			   void *context)
{
	struct tables tables;

	if (find_tables(&module->image, &tables)) {
		visit_table(&tables, DT_JMPREL, DT_PLTRELSZ, visit, context);
		visit_table(&tables, DT_RELA, DT_RELASZ, visit, context);
	}
	free(tables.names);
}

/* ---- how a word is used -----------------------------------------------------------------------
 */

/* `call *slot(%rip)` or `jmp *slot(%rip)` */
static bool is_call(const uint8_t *opcode)
{
	return opcode[0] == 0xff && (opcode[1] == 0x15 || opcode[1] == 0x25);
}

/* Looks at each distance in @bytes, the first of which is at @address. */
static bool has_other_use(const uint8_t *bytes, size_t size, uint64_t address, uint64_t slot)
{
	for (size_t i = OPCODE_BYTES; i + 4 <= size; i++) {
		int32_t distance;
		uint64_t gap;

		memcpy(&distance, bytes + i, sizeof(distance));
		/* The distance counts from behind the instruction: an operand of 1, 2 or 4 bytes
		 * may follow. */
		gap = slot - (address + i + 4 + (uint64_t)(int64_t)distance);
		if (gap > 4 || gap == 3 || (!gap && is_call(bytes + i - OPCODE_BYTES)))
			continue;
		return true;
	}
	return false;
}

static bool segment_only_calls(const struct ml_image *image, const Elf64_Phdr *segment,
			       uint64_t slot)
{
	ML_FREE_CLEANUP uint8_t *bytes = malloc(CODE_BYTES_A_READ + BEHIND_BYTES);
	uint64_t size;

	for (uint64_t at = 0; bytes && at < segment->p_filesz; at += CODE_BYTES_A_READ) {
		size = segment->p_filesz - at;
		if (size > CODE_BYTES_A_READ + BEHIND_BYTES)
			size = CODE_BYTES_A_READ + BEHIND_BYTES;
		if (!ml_image_read(image, segment->p_offset + at, bytes, size) ||
		    has_other_use(bytes, size, segment->p_vaddr + at, slot))
			return false;
	}
	return bytes;
}

bool ml_module_only_calls_by(struct ml_module *module, uint64_t slot)
{
	const struct ml_image *image = &module->image;

	for (size_t i = 0; i < image->segment_count; i++) {
		const Elf64_Phdr *segment = &image->segments[i];

		if (segment->p_type == PT_LOAD && (segment->p_flags & PF_X) &&
		    !segment_only_calls(image, segment, slot))
			return false;
	}
	return true;
}

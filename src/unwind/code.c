/* SPDX-License-Identifier: BSD-2-Clause */
#include "unwind/code.h"

#include <gelf.h>
#include <string.h>

#define PAGE_MASK 4095ULL

/* The code models of the psABI keep text within 2 GiB. It also bounds the page index, which a
 * hostile file could otherwise make large with two tiny functions. */
#define REACH (1ULL << 31)

void ml_code_read(struct ml_module *module, struct ml_code *out)
{
	Elf *elf = ml_module_elf(module);
	struct ml_code code = {.base = UINT64_MAX};
	GElf_Ehdr header;
	size_t count = 0;

	if (gelf_getehdr(elf, &header))
		code.entry = header.e_entry;
	if (elf_getphdrnum(elf, &count))
		count = 0;
	for (size_t i = 0; i < count && code.count < ML_CODE_SEGMENT_LIMIT; i++) {
		GElf_Phdr segment;
		uint64_t end;

		if (!gelf_getphdr(elf, (int)i, &segment))
			break;
		if (segment.p_type != PT_LOAD || !(segment.p_flags & PF_X))
			continue;
		if (__builtin_add_overflow(segment.p_vaddr, segment.p_filesz, &end))
			continue;
		code.segments[code.count].start = segment.p_vaddr;
		code.segments[code.count++].end = end;
		if (segment.p_vaddr < code.base)
			code.base = segment.p_vaddr;
	}
	code.base = code.count ? code.base & ~PAGE_MASK : 0;
	*out = code;
}

bool ml_code_clip(const struct ml_code *code, uint64_t start, uint64_t size, uint32_t *pc,
		  uint32_t *end)
{
	for (size_t i = 0; i < code->count; i++) {
		uint64_t limit = code->segments[i].end;

		if (start < code->segments[i].start || start >= limit)
			continue;
		if (size < limit - start)
			limit = start + size;
		if (limit <= start || limit - code->base > REACH)
			return false;
		*pc = (uint32_t)(start - code->base);
		*end = (uint32_t)(limit - code->base);
		return true;
	}
	return false;
}

uint64_t ml_code_section_address(struct ml_module *module, const char *name)
{
	Elf *elf = ml_module_elf(module);
	Elf_Scn *section = NULL;
	size_t names;

	if (elf_getshdrstrndx(elf, &names))
		return 0;
	while ((section = elf_nextscn(elf, section))) {
		GElf_Shdr header;
		const char *text;

		if (!gelf_getshdr(section, &header))
			continue;
		text = elf_strptr(elf, names, header.sh_name);
		if (text && !strcmp(text, name))
			return header.sh_addr;
	}
	return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "unwind/text.h"

#include <gelf.h>
#include <string.h>

#define PAGE_MASK 4095ULL

/* The code models of the psABI keep text within 2 GiB. It also bounds the page index, which a
 * hostile file could otherwise make large with two tiny functions. */
#define REACH (1ULL << 31)

void ml_text_read(struct ml_module *module, struct ml_text *out)
{
	Elf *elf = ml_module_elf(module);
	struct ml_text text = {.base = UINT64_MAX};
	GElf_Ehdr header;
	size_t count = 0;

	if (gelf_getehdr(elf, &header))
		text.entry = header.e_entry;
	if (elf_getphdrnum(elf, &count))
		count = 0;
	for (size_t i = 0; i < count && text.count < ML_TEXT_SEGMENT_LIMIT; i++) {
		GElf_Phdr segment;
		uint64_t end;

		if (!gelf_getphdr(elf, (int)i, &segment))
			break;
		if (segment.p_type != PT_LOAD || !(segment.p_flags & PF_X))
			continue;
		if (__builtin_add_overflow(segment.p_vaddr, segment.p_filesz, &end))
			continue;
		text.segments[text.count].start = segment.p_vaddr;
		text.segments[text.count++].end = end;
		if (segment.p_vaddr < text.base)
			text.base = segment.p_vaddr;
	}
	text.base = text.count ? text.base & ~PAGE_MASK : 0;
	*out = text;
}

bool ml_text_clip(const struct ml_text *text, uint64_t start, uint64_t size, uint32_t *pc,
		  uint32_t *end)
{
	for (size_t i = 0; i < text->count; i++) {
		uint64_t limit = text->segments[i].end;

		if (start < text->segments[i].start || start >= limit)
			continue;
		if (size < limit - start)
			limit = start + size;
		if (limit <= start || limit - text->base > REACH)
			return false;
		*pc = (uint32_t)(start - text->base);
		*end = (uint32_t)(limit - text->base);
		return true;
	}
	return false;
}

bool ml_text_address_of_mapping(struct ml_module *module, uint64_t offset, uint64_t *address)
{
	Elf *elf = ml_module_elf(module);
	size_t count = 0;

	if (elf_getphdrnum(elf, &count))
		return false;
	for (size_t i = 0; i < count; i++) {
		GElf_Phdr segment;

		if (!gelf_getphdr(elf, (int)i, &segment))
			return false;
		if (segment.p_type != PT_LOAD || !(segment.p_flags & PF_X) ||
		    offset < (segment.p_offset & ~PAGE_MASK) ||
		    offset >= segment.p_offset + segment.p_filesz)
			continue;
		/* Unsigned: the offset may lie before the segment, by less than a page. */
		*address = segment.p_vaddr + (offset - segment.p_offset);
		return true;
	}
	return false;
}

uint64_t ml_text_section_address(struct ml_module *module, const char *name)
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

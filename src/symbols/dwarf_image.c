/* SPDX-License-Identifier: BSD-2-Clause */
#include "symbols/dwarf_image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The part of the machine's memory that the debug sections of one module may take. */
#define MEMORY_SHARE   4
#define TOTAL_SIZE_MAX (4ULL << 30)
#define PADDING        ML_DWARF_PADDING

/* Names of enum ml_dwarf_section behind ".debug_" or ".zdebug_". */
static const char *const needed[ML_DWARF_SECTIONS] = {
	"line", "info",   "abbrev",   "line_str",    "str",
	"addr", "ranges", "rnglists", "str_offsets", "types",
};
#define SECTIONS ML_DWARF_SECTIONS

/** What is put where; offsets are in the new image. */
struct plan {
	const struct ml_dwarf_part *parts;
	size_t offsets[SECTIONS];
	size_t names;   /**< offset of the section names */
	size_t headers; /**< offset of the section headers */
	size_t size;
};

/* Names of the sections in the new image, each with its NUL, behind the empty one. */
struct names {
	char text[252];
	uint32_t size;
};

static size_t aligned(size_t size)
{
	return (size + PADDING - 1) & ~(size_t)(PADDING - 1);
}

uint64_t ml_dwarf_size_limit(void)
{
	uint64_t memory = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t share = memory / MEMORY_SHARE;

	return share < TOTAL_SIZE_MAX ? share : TOTAL_SIZE_MAX;
}

struct ml_dwarf_part ml_dwarf_part_find(const struct ml_image *image, enum ml_dwarf_section section,
					const char *suffix)
{
	static const char *const prefixes[] = {".debug_", ".zdebug_"};
	struct ml_dwarf_part part = {0};

	for (size_t i = 0; i < 2 && !part.section; i++) {
		char name[40];

		snprintf(name, sizeof(name), "%s%s%s", prefixes[i], needed[section], suffix);
		part.section = ml_image_section_named(image, name);
	}
	part.size = part.section ? ml_image_section_size(image, part.section) : 0;
	return part;
}

/* Bytes of @p part in the image: one to be replaced by shared memory has to have some. */
static size_t stored_size(const struct ml_dwarf_part *part)
{
	return part->is_shared ? PADDING : (size_t)part->size;
}

/* False when there is nothing to find in the file, or too much. */
static bool make_plan(const struct ml_dwarf_part *parts, uint64_t limit, struct plan *plan)
{
	memset(plan, 0, sizeof(*plan));
	plan->parts = parts;
	plan->size = aligned(sizeof(Elf64_Ehdr));
	for (size_t i = 0; i < SECTIONS; i++) {
		if (parts[i].size == 0)
			continue;
		if (parts[i].size > limit || plan->size + parts[i].size > limit)
			return false;
		plan->offsets[i] = plan->size;
		plan->size += aligned(stored_size(&parts[i])) + PADDING;
	}
	plan->names = plan->size;
	plan->headers = plan->names + aligned(sizeof(struct names));
	plan->size = plan->headers + (SECTIONS + 2) * sizeof(Elf64_Shdr);
	return parts[ML_DWARF_LINE].size > 0 || parts[ML_DWARF_INFO].size > 0;
}

static uint32_t add_name(struct names *names, const char *prefix, const char *name)
{
	uint32_t at = names->size;

	strcpy(names->text + at, prefix);
	strcat(names->text + at, name);
	names->size += (uint32_t)(strlen(prefix) + strlen(name) + 1);
	return at;
}

/* Section headers and names; the image has as many sections as `needed`, some of them empty. */
static void write_headers(char *bytes, const struct plan *plan)
{
	Elf64_Ehdr *header = (Elf64_Ehdr *)bytes;
	Elf64_Shdr *sections = (Elf64_Shdr *)(bytes + plan->headers);
	struct names *names = (struct names *)(bytes + plan->names);

	names->size = 1;
	for (size_t i = 0; i < SECTIONS; i++) {
		sections[i + 1] = (Elf64_Shdr){
			.sh_name = add_name(names, ".debug_", needed[i]),
			.sh_type = plan->parts[i].size > 0 ? SHT_PROGBITS : SHT_NOBITS,
			.sh_offset = plan->offsets[i],
			.sh_size = stored_size(&plan->parts[i]),
			.sh_addralign = 1,
		};
	}
	sections[SECTIONS + 1] = (Elf64_Shdr){
		.sh_name = add_name(names, ".shstrtab", ""),
		.sh_type = SHT_STRTAB,
		.sh_offset = plan->names,
		.sh_size = names->size,
		.sh_addralign = 1,
	};
	*header = (Elf64_Ehdr){
		.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
			    EV_CURRENT},
		.e_type = ET_EXEC,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_ehsize = sizeof(*header),
		.e_shentsize = sizeof(*sections),
		.e_shoff = plan->headers,
		.e_shnum = SECTIONS + 2,
		.e_shstrndx = SECTIONS + 1,
	};
}

/* A part of a section is read from where it lies, which a compressed one cannot be. */
static bool read_part(const struct ml_image *image, const struct ml_dwarf_part *part, char *to)
{
	const Elf64_Shdr *section = part->section;

	if (!section) {
		memcpy(to, part->memory, part->size);
		return true;
	}

	uint64_t whole = ml_image_section_size(image, section);

	if (part->skip == 0 && part->size == whole)
		return ml_image_section_read(image, section, to, (size_t)whole);
	return !(section->sh_flags & SHF_COMPRESSED) && whole == section->sh_size &&
	       part->skip <= whole && part->size <= whole - part->skip &&
	       ml_image_read(image, section->sh_offset + part->skip, to, (size_t)part->size);
}

static char *build(const struct ml_image *image, const struct plan *plan)
{
	char *bytes = calloc(1, plan->size);

	if (!bytes)
		return NULL;
	for (size_t i = 0; i < SECTIONS; i++) {
		if (plan->parts[i].size == 0 || plan->parts[i].is_shared ||
		    read_part(image, &plan->parts[i], bytes + plan->offsets[i]))
			continue;
		free(bytes);
		return NULL;
	}
	write_headers(bytes, plan);
	return bytes;
}

/* Puts shared memory in the place of what the image has of it. libelf hands libdw the same Elf_Data
 * that it hands us. */
static bool share_parts(Elf *elf, const struct ml_dwarf_part *parts)
{
	for (size_t i = 0; i < SECTIONS; i++) {
		if (!parts[i].is_shared || parts[i].size == 0)
			continue;

		Elf_Data *data = elf_getdata(elf_getscn(elf, i + 1), NULL);

		if (!data)
			return false;
		data->d_buf = (void *)(uintptr_t)parts[i].memory;
		data->d_size = (size_t)parts[i].size;
	}
	return true;
}

bool ml_dwarf_image_open_parts(const struct ml_image *image,
			       const struct ml_dwarf_part parts[ML_DWARF_SECTIONS], uint64_t limit,
			       struct ml_dwarf_image *out)
{
	struct ml_dwarf_image opened = {0};
	struct plan plan;

	if (!make_plan(parts, limit, &plan))
		return false;
	opened.bytes = build(image, &plan);
	elf_version(EV_CURRENT);
	if (opened.bytes)
		opened.elf = elf_memory(opened.bytes, plan.size);
	if (opened.elf && share_parts(opened.elf, parts))
		opened.dwarf = dwarf_begin_elf(opened.elf, DWARF_C_READ, NULL);
	if (!opened.dwarf) {
		ml_dwarf_image_close(&opened);
		return false;
	}
	for (size_t i = 0; i < SECTIONS; i++) {
		opened.sections[i] = (struct ml_dwarf_bytes){
			.bytes = parts[i].is_shared
					 ? parts[i].memory
					 : (const uint8_t *)opened.bytes + plan.offsets[i],
			.size = (size_t)parts[i].size,
		};
	}
	*out = opened;
	return true;
}

bool ml_dwarf_image_open(const struct ml_image *image, struct ml_dwarf_image *out)
{
	struct ml_dwarf_part parts[ML_DWARF_SECTIONS];

	for (size_t i = 0; i < ML_DWARF_SECTIONS; i++)
		parts[i] = ml_dwarf_part_find(image, i, "");
	return ml_dwarf_image_open_parts(image, parts, ml_dwarf_size_limit(), out);
}

void ml_dwarf_image_close(struct ml_dwarf_image *image)
{
	dwarf_end(image->dwarf);
	elf_end(image->elf);
	free(image->bytes);
	memset(image, 0, sizeof(*image));
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "symbols/dwarf_image.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The part of the machine's memory that the debug sections of one module may take. */
#define MEMORY_SHARE   4
#define TOTAL_SIZE_MAX (4ULL << 30)
#define PADDING        16

/* What lookups of lines and inlined functions need, behind ".debug_" or ".zdebug_". */
static const char *const needed[] = {"line", "info",   "abbrev",   "line_str",    "str",
				     "addr", "ranges", "rnglists", "str_offsets", "types"};
#define SECTIONS (sizeof(needed) / sizeof(*needed))
#define LINES    0 /* index of "line" */
#define INFO     1

/** What is put where; offsets are in the new image. */
struct plan {
	const Elf64_Shdr *sections[SECTIONS]; /**< in the file; NULL: has none */
	size_t sizes[SECTIONS];
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

static uint64_t size_limit(void)
{
	uint64_t memory = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t share = memory / MEMORY_SHARE;

	return share < TOTAL_SIZE_MAX ? share : TOTAL_SIZE_MAX;
}

static const Elf64_Shdr *find_section(const struct ml_image *image, const char *name)
{
	static const char *const prefixes[] = {".debug_", ".zdebug_"};
	const Elf64_Shdr *found = NULL;

	for (size_t i = 0; i < 2 && !found; i++) {
		char full[32];
		size_t length = strlen(prefixes[i]);

		memcpy(full, prefixes[i], length);
		strcpy(full + length, name);
		found = ml_image_section_named(image, full);
	}
	return found;
}

/* False when there is nothing to find in the file, or too much. */
static bool make_plan(const struct ml_image *image, struct plan *plan)
{
	uint64_t limit = size_limit();

	memset(plan, 0, sizeof(*plan));
	plan->size = aligned(sizeof(Elf64_Ehdr));
	for (size_t i = 0; i < SECTIONS; i++) {
		const Elf64_Shdr *section = find_section(image, needed[i]);
		uint64_t size = section ? ml_image_section_size(image, section) : 0;

		if (size == 0)
			continue;
		if (size > limit || plan->size + size > limit)
			return false;
		plan->sections[i] = section;
		plan->sizes[i] = (size_t)size;
		plan->offsets[i] = plan->size;
		plan->size += aligned((size_t)size) + PADDING;
	}
	plan->names = plan->size;
	plan->headers = plan->names + aligned(sizeof(struct names));
	plan->size = plan->headers + (SECTIONS + 2) * sizeof(Elf64_Shdr);
	return plan->sections[LINES] || plan->sections[INFO];
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
			.sh_type = plan->sections[i] ? SHT_PROGBITS : SHT_NOBITS,
			.sh_offset = plan->offsets[i],
			.sh_size = plan->sizes[i],
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

static char *build(const struct ml_image *image, const struct plan *plan)
{
	char *bytes = calloc(1, plan->size);

	if (!bytes)
		return NULL;
	for (size_t i = 0; i < SECTIONS; i++) {
		if (!plan->sections[i] ||
		    ml_image_section_read(image, plan->sections[i], bytes + plan->offsets[i],
					  plan->sizes[i]))
			continue;
		free(bytes);
		return NULL;
	}
	write_headers(bytes, plan);
	return bytes;
}

bool ml_dwarf_image_open(const struct ml_image *image, struct ml_dwarf_image *out)
{
	struct ml_dwarf_image opened = {0};
	struct plan plan;

	if (!make_plan(image, &plan))
		return false;
	opened.bytes = build(image, &plan);
	elf_version(EV_CURRENT);
	if (opened.bytes)
		opened.elf = elf_memory(opened.bytes, plan.size);
	if (opened.elf)
		opened.dwarf = dwarf_begin_elf(opened.elf, DWARF_C_READ, NULL);
	if (!opened.dwarf) {
		ml_dwarf_image_close(&opened);
		return false;
	}
	if (plan.sections[LINES]) {
		opened.lines = (const uint8_t *)opened.bytes + plan.offsets[LINES];
		opened.lines_size = plan.sizes[LINES];
	}
	*out = opened;
	return true;
}

void ml_dwarf_image_close(struct ml_dwarf_image *image)
{
	dwarf_end(image->dwarf);
	elf_end(image->elf);
	free(image->bytes);
	memset(image, 0, sizeof(*image));
}

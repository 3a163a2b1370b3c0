/* SPDX-License-Identifier: BSD-2-Clause */
#include "symbols/debug_info.h"

#include "base/clock.h"
#include "symbols/dwarf_scopes.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* libdw holds all of the debug sections in memory: they may take this part of the machine's. */
#define SECTIONS_MEMORY_SHARE 4
#define SECTIONS_SIZE_MAX     (4ULL << 30)
#define UNITS_MAX             (1U << 20)
#define UNIT_RANGES_MAX       (4U << 20)
#define UNITS_WORK_NS         (5 * ML_NS_PER_SECOND)
#define UNITS_TRIED           4
#define RANGES_LOOKED_AT      64
/* A line program yields up to one row of some hundred bytes (libdw's) for every byte. */
#define LINES_BYTES_A_UNIT   (8U << 20)
#define LINES_BYTES_A_MODULE (16U << 20)

/** A file with DWARF in it. */
struct source {
	struct ml_image image;
	Elf *elf;
	Dwarf *dwarf;
};

struct unit {
	Dwarf_Die die;
	struct ml_dwarf_scopes scopes;
	bool has_scopes; /**< scopes have been read */
	bool has_lines;  /**< the line program may be read: known once has_scopes is true */
};

struct unit_range {
	uint64_t low;
	uint64_t high;
	uint64_t highest; /**< of all ranges up to this one */
	uint32_t unit;
};

struct ml_dwarf {
	struct source main;
	struct source alternate; /**< dwz's supplementary file; dwarf NULL when there is none */
	ML_ARRAY(struct unit) units;
	ML_ARRAY(struct unit_range) ranges; /**< sorted by low */
	const uint8_t *lines;               /**< .debug_line; libelf's */
	size_t lines_size;
	uint64_t lines_left; /**< bytes of line programs that may still be read */
};

static void close_source(struct source *source)
{
	dwarf_end(source->dwarf);
	elf_end(source->elf);
	ml_image_deinit(&source->image);
	source->dwarf = NULL;
	source->elf = NULL;
}

/* What lookups of lines and inlined functions need. */
static bool is_needed_section(const char *name)
{
	static const char *const needed[] = {"info", "abbrev", "line",     "line_str",    "str",
					     "addr", "ranges", "rnglists", "str_offsets", "types"};

	if (strncmp(name, ".debug_", 7) == 0)
		name += 7;
	else if (strncmp(name, ".zdebug_", 8) == 0)
		name += 8;
	else
		return false;
	for (size_t i = 0; i < sizeof(needed) / sizeof(*needed); i++) {
		if (strcmp(name, needed[i]) == 0)
			return true;
	}
	return false;
}

/* Size of a debug section once decompressed. */
static uint64_t true_size(const struct ml_image *image, const Elf64_Shdr *section)
{
	const char *name = ml_image_section_name(image, section);
	Elf64_Chdr header;
	struct {
		char magic[4];
		uint64_t size; /* big-endian */
	} __attribute__((packed)) old;

	if ((section->sh_flags & SHF_COMPRESSED) &&
	    ml_image_read(image, section->sh_offset, &header, sizeof(header)))
		return header.ch_size;
	if (name[1] == 'z' && ml_image_read(image, section->sh_offset, &old, sizeof(old)) &&
	    memcmp(old.magic, "ZLIB", 4) == 0)
		return __builtin_bswap64(old.size);
	return section->sh_size;
}

static uint64_t size_limit(void)
{
	uint64_t memory = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t share = memory / SECTIONS_MEMORY_SHARE;

	return share < SECTIONS_SIZE_MAX ? share : SECTIONS_SIZE_MAX;
}

/* True when the file has DWARF, and not so much that loading it would take the machine's memory:
 * libdw decompresses what the headers promise. */
static bool has_bearable_dwarf(const struct ml_image *image)
{
	uint64_t total = 0, limit = size_limit();
	bool found = false;

	for (size_t i = 0; i < image->section_count; i++) {
		const Elf64_Shdr *section = &image->sections[i];

		if (section->sh_type == SHT_NOBITS ||
		    !is_needed_section(ml_image_section_name(image, section)))
			continue;

		uint64_t size = true_size(image, section);

		if (size > limit || (total += size) > limit)
			return false;
		found = true;
	}
	return found;
}

/* Gives sections other names in libelf's copy of the names, so that libdw does not see them:
 * .gnu_debugaltlink, because libdw opens whatever path it names as soon as a DIE refers to it (a
 * path of the target in the root of this machine; dwarf_setalt() is the only way left); and what
 * is not needed, because libdw loads all it knows. */
static bool hide_sections(Elf *elf)
{
	size_t names;

	if (elf_getshdrstrndx(elf, &names) < 0)
		return false;

	Elf_Data *data = elf_getdata(elf_getscn(elf, names), NULL);
	Elf_Scn *section = NULL;

	while (data && (section = elf_nextscn(elf, section))) {
		const Elf64_Shdr *header = elf64_getshdr(section);
		const char *name = header ? elf_strptr(elf, names, header->sh_name) : NULL;

		if (!name || !strstr(name, "debug") || is_needed_section(name))
			continue;
		if (header->sh_name + 1 < data->d_size)
			((char *)data->d_buf)[header->sh_name + 1] = '_';
		/* libelf has it elsewhere: never seen, but then the file must not be used. */
		if (name[1] != '_')
			return false;
	}
	return true;
}

/* Takes @p fd over; false (and nothing open) when it has no DWARF that can be read. */
static bool open_source(int fd, const char *path, struct source *out)
{
	struct source source = {.image.fd = -1};
	ML_ERROR_CLEANUP struct ml_error *error = ml_image_open(fd, path, &source.image);

	if (error)
		return false;
	elf_version(EV_CURRENT);
	if (has_bearable_dwarf(&source.image))
		source.elf = elf_begin(source.image.fd, ELF_C_READ, NULL);
	if (source.elf && hide_sections(source.elf))
		source.dwarf = dwarf_begin_elf(source.elf, DWARF_C_READ, NULL);
	if (source.dwarf)
		*out = source;
	else
		close_source(&source);
	return source.dwarf != NULL;
}

/* Adds one more range of unit @p unit. */
static void add_range(struct ml_dwarf *dwarf, uint32_t unit, uint64_t low, uint64_t high)
{
	if (low == 0 || low >= high)
		return;
	*ml_array_push(&dwarf->ranges) = (struct unit_range){
		.low = low,
		.high = high,
		.unit = unit,
	};
}

static void add_unit(struct ml_dwarf *dwarf, Dwarf_Die *die, uint64_t deadline_ns)
{
	uint32_t index = (uint32_t)dwarf->units.count;
	Dwarf_Addr base, low, high;
	ptrdiff_t offset = 0;

	*ml_array_push(&dwarf->units) = (struct unit){.die = *die};
	while ((offset = dwarf_ranges(die, offset, &base, &low, &high)) > 0) {
		if (dwarf->ranges.count >= UNIT_RANGES_MAX ||
		    (dwarf->ranges.count % 1024 == 0 && ml_dwarf_work_ns() > deadline_ns))
			return;
		add_range(dwarf, index, low, high);
	}
}

static int compare_ranges(const void *left, const void *right)
{
	const struct unit_range *a = left, *b = right;

	if (a->low != b->low)
		return a->low < b->low ? -1 : 1;
	return (a->unit > b->unit) - (a->unit < b->unit);
}

/* .debug_aranges would be this index ready-made, but Clang does not write it. */
static void index_units(struct ml_dwarf *dwarf)
{
	uint64_t deadline_ns = ml_dwarf_work_ns() + UNITS_WORK_NS;
	Dwarf_CU *unit = NULL;
	Dwarf_Die die;
	uint8_t type;

	while (dwarf->units.count < UNITS_MAX && ml_dwarf_work_ns() < deadline_ns &&
	       dwarf_get_units(dwarf->main.dwarf, unit, &unit, NULL, &type, &die, NULL) == 0) {
		if (type == DW_UT_compile || type == DW_UT_skeleton || type == DW_UT_partial)
			add_unit(dwarf, &die, deadline_ns);
	}
	if (dwarf->ranges.count > 0)
		qsort(dwarf->ranges.items, dwarf->ranges.count, sizeof(*dwarf->ranges.items),
		      compare_ranges);

	uint64_t highest = 0;

	ml_array_each (range, &dwarf->ranges) {
		if (range->high > highest)
			highest = range->high;
		range->highest = highest;
	}
}

/* After dwarf_begin_elf(), which decompresses. */
static void find_lines(struct ml_dwarf *dwarf)
{
	const Elf64_Shdr *section = ml_image_section_named(&dwarf->main.image, ".debug_line");

	if (!section)
		section = ml_image_section_named(&dwarf->main.image, ".zdebug_line");
	if (!section)
		return;

	size_t index = (size_t)(section - dwarf->main.image.sections);
	Elf_Data *data = elf_rawdata(elf_getscn(dwarf->main.elf, index), NULL);

	if (!data || !data->d_buf)
		return;
	dwarf->lines = data->d_buf;
	dwarf->lines_size = data->d_size;
	dwarf->lines_left = LINES_BYTES_A_MODULE;
}

struct ml_dwarf *ml_dwarf_open(struct ml_module *module, int fd,
			       const struct ml_file_opener *opener)
{
	struct source source;
	const char *path = ml_module_path(module);

	if (!open_source(fd, path, &source))
		return NULL;

	struct ml_dwarf *dwarf = ml_alloc(sizeof(*dwarf));

	dwarf->main = source;
	dwarf->alternate.image.fd = -1;

	int alternate = ml_debug_file_find_alternate(module, &source.image, opener);

	if (alternate >= 0 && open_source(alternate, path, &dwarf->alternate))
		dwarf_setalt(dwarf->main.dwarf, dwarf->alternate.dwarf);
	find_lines(dwarf);
	index_units(dwarf);
	return dwarf;
}

void ml_dwarf_close(struct ml_dwarf *dwarf)
{
	if (!dwarf)
		return;
	ml_array_each (unit, &dwarf->units)
		ml_dwarf_scopes_deinit(&unit->scopes);
	ml_array_free(&dwarf->units);
	ml_array_free(&dwarf->ranges);
	close_source(&dwarf->main);
	close_source(&dwarf->alternate);
	free(dwarf);
}

/* True when the line program of @p unit is small enough to be read; takes it off the allowance. */
static bool allow_lines(struct ml_dwarf *dwarf, struct unit *unit)
{
	Dwarf_Attribute attribute;
	Dwarf_Word offset;
	uint32_t size;

	/* A unit_length of 0xffffffff (64-bit DWARF) is above any bound. */
	if (!dwarf_attr(&unit->die, DW_AT_stmt_list, &attribute) ||
	    dwarf_formudata(&attribute, &offset) != 0 || dwarf->lines_size < sizeof(size) ||
	    offset > dwarf->lines_size - sizeof(size))
		return false;
	memcpy(&size, dwarf->lines + offset, sizeof(size));
	if (size > LINES_BYTES_A_UNIT || size > dwarf->lines_left)
		return false;
	dwarf->lines_left -= size;
	return true;
}

static void need_unit(struct ml_dwarf *dwarf, struct unit *unit)
{
	if (unit->has_scopes)
		return;
	unit->has_scopes = true;
	unit->has_lines = allow_lines(dwarf, unit);
	ml_dwarf_scopes_read(dwarf->main.dwarf, &unit->die, &unit->scopes);
}

static const char *die_name(Dwarf_Die *die)
{
	Dwarf_Attribute attribute;

	if (dwarf_attr_integrate(die, DW_AT_linkage_name, &attribute) ||
	    dwarf_attr_integrate(die, DW_AT_MIPS_linkage_name, &attribute)) {
		const char *name = dwarf_formstring(&attribute);

		if (name)
			return name;
	}
	return dwarf_diename(die);
}

static void find_line(struct unit *unit, uint64_t address, struct ml_dwarf_frame *out)
{
	Dwarf_Line *line = unit->has_lines ? dwarf_getsrc_die(&unit->die, address) : NULL;

	if (!line)
		return;
	out->file = dwarf_linesrc(line, NULL, NULL);
	if (dwarf_lineno(line, &out->line) != 0 || out->line < 0)
		out->line = 0;
}

/* Where the call that was inlined as @p die stands. */
static void find_call(struct unit *unit, Dwarf_Die *die, struct ml_dwarf_frame *out)
{
	Dwarf_Attribute attribute;
	Dwarf_Word value;
	Dwarf_Files *files;
	size_t count;

	if (dwarf_attr(die, DW_AT_call_line, &attribute) &&
	    dwarf_formudata(&attribute, &value) == 0 && value <= INT32_MAX)
		out->line = (int)value;
	if (unit->has_lines && dwarf_attr(die, DW_AT_call_file, &attribute) &&
	    dwarf_formudata(&attribute, &value) == 0 &&
	    dwarf_getsrcfiles(&unit->die, &files, &count) == 0 && value < count)
		out->file = dwarf_filesrc(files, value, NULL, NULL);
}

static bool lookup_in_unit(struct ml_dwarf *dwarf, struct unit *unit, uint64_t address,
			   struct ml_dwarf_frames *out)
{
	const struct ml_dwarf_scope *chain[ML_DWARF_DEPTH_MAX];
	struct ml_dwarf_frame frame = {0};

	need_unit(dwarf, unit);
	find_line(unit, address, &frame);

	unsigned int depth = ml_dwarf_scopes_find(&unit->scopes, address, chain);

	if (depth == 0 && !frame.file)
		return false;
	if (depth == 0)
		*ml_array_push(&out->list) = frame;
	while (depth-- > 0) {
		struct ml_dwarf_frame outer = {0};
		Dwarf_Die die;

		if (dwarf_offdie(dwarf->main.dwarf, chain[depth]->die, &die)) {
			frame.name = die_name(&die);
			if (chain[depth]->is_inlined)
				find_call(unit, &die, &outer);
		}
		frame.start = ml_dwarf_scope_start(&unit->scopes, chain[depth], address);
		frame.is_inlined = chain[depth]->is_inlined && depth > 0;
		*ml_array_push(&out->list) = frame;
		frame = outer;
	}
	return true;
}

/* Number of ranges that begin at or before @p address. */
static size_t count_before(const struct ml_dwarf *dwarf, uint64_t address)
{
	size_t low = 0, high = dwarf->ranges.count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (dwarf->ranges.items[middle].low <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

void ml_dwarf_lookup(struct ml_dwarf *dwarf, uint64_t address, struct ml_dwarf_frames *out)
{
	unsigned int looked_at = 0, tried = 0;

	out->list.count = 0;
	for (size_t i = count_before(dwarf, address); i-- > 0;) {
		const struct unit_range *range = &dwarf->ranges.items[i];

		if (range->highest <= address || ++looked_at > RANGES_LOOKED_AT)
			return;
		if (address >= range->high)
			continue;
		if (lookup_in_unit(dwarf, &dwarf->units.items[range->unit], address, out) ||
		    ++tried == UNITS_TRIED)
			return;
	}
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "symbols/debug_info.h"

#include "base/clock.h"
#include "symbols/dwarf_image.h"
#include "symbols/dwarf_scopes.h"
#include "symbols/split_unit.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <stdlib.h>
#include <string.h>

#define UNITS_MAX        (1U << 20)
#define UNIT_RANGES_MAX  (4U << 20)
#define UNITS_WORK_NS    (5 * ML_NS_PER_SECOND)
#define UNITS_TRIED      4
#define RANGES_LOOKED_AT 64
/* A line program yields up to one row of some hundred bytes (libdw's) for every byte. */
#define LINES_BYTES_A_UNIT   (8U << 20)
#define LINES_BYTES_A_MODULE (16U << 20)

struct unit {
	Dwarf_Die die;
	struct ml_split_unit *split; /**< what `die` is the skeleton of; NULL: it is all there is */
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
	struct ml_dwarf_image main;
	struct ml_dwarf_image alternate; /**< dwz's supplementary file; dwarf NULL: none */
	struct ml_split_source split;
	ML_ARRAY(struct unit) units;
	ML_ARRAY(struct unit_range) ranges; /**< sorted by low */
	uint64_t lines_left;                /**< bytes of line programs that may still be read */
};

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
		/* Clang puts inlined functions into skeletons of DWARF 4: libdw takes these for
		 * split units. */
		if (type == DW_UT_compile || type == DW_UT_skeleton || type == DW_UT_partial ||
		    type == DW_UT_split_compile)
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

/* Opens @p fd (taken over), for whose supplementary file @p alternate is where to put its fd. */
static bool open_image(struct ml_module *module, int fd, const struct ml_file_opener *opener,
		       struct ml_dwarf_image *out, int *alternate)
{
	struct ml_image image;
	ML_ERROR_CLEANUP struct ml_error *error = ml_image_open(fd, ml_module_path(module), &image);

	if (error)
		return false;

	bool opened = ml_dwarf_image_open(&image, out);

	if (opened && alternate)
		*alternate = ml_debug_file_find_alternate(module, &image, opener);
	ml_image_deinit(&image);
	return opened;
}

struct ml_dwarf *ml_dwarf_open(struct ml_module *module, int fd,
			       const struct ml_file_opener *opener)
{
	struct ml_dwarf_image image;
	int alternate = -1;

	if (!open_image(module, fd, opener, &image, &alternate))
		return NULL;

	struct ml_dwarf *dwarf = ml_alloc(sizeof(*dwarf));

	dwarf->main = image;
	dwarf->lines_left = LINES_BYTES_A_MODULE;
	dwarf->split.module = module;
	dwarf->split.opener = opener;
	dwarf->split.main = &dwarf->main;
	if (alternate >= 0 && open_image(module, alternate, opener, &dwarf->alternate, NULL))
		dwarf_setalt(dwarf->main.dwarf, dwarf->alternate.dwarf);
	index_units(dwarf);
	return dwarf;
}

void ml_dwarf_close(struct ml_dwarf *dwarf)
{
	if (!dwarf)
		return;
	ml_array_each (unit, &dwarf->units) {
		ml_dwarf_scopes_deinit(&unit->scopes);
		ml_split_unit_close(unit->split);
	}
	ml_split_source_deinit(&dwarf->split);
	ml_array_free(&dwarf->units);
	ml_array_free(&dwarf->ranges);
	ml_dwarf_image_close(&dwarf->main);
	ml_dwarf_image_close(&dwarf->alternate);
	free(dwarf);
}

/* True when the line program of @p unit is small enough to be read; takes it off the allowance. */
static bool allow_lines(struct ml_dwarf *dwarf, struct unit *unit)
{
	const struct ml_dwarf_bytes *lines = &dwarf->main.sections[ML_DWARF_LINE];
	Dwarf_Attribute attribute;
	Dwarf_Word offset;
	uint32_t word;
	uint64_t size;

	if (!dwarf_attr(&unit->die, DW_AT_stmt_list, &attribute) ||
	    dwarf_formudata(&attribute, &offset) != 0 || offset >= lines->size)
		return false;
	/* Behind the section are zeroes, more than this reads. */
	memcpy(&word, lines->bytes + offset, sizeof(word));
	size = word;
	if (word == UINT32_MAX) /* the 64-bit format (DWARF 5 §7.4) */
		memcpy(&size, lines->bytes + offset + sizeof(word), sizeof(size));
	if (size > LINES_BYTES_A_UNIT || size > dwarf->lines_left)
		return false;
	dwarf->lines_left -= size;
	return true;
}

/* The DWARF that offsets of DIEs in the scopes of @p unit are of. */
static Dwarf *dwarf_of(const struct ml_dwarf *dwarf, const struct unit *unit)
{
	return unit->split ? unit->split->image.dwarf : dwarf->main.dwarf;
}

static void need_unit(struct ml_dwarf *dwarf, struct unit *unit)
{
	if (unit->has_scopes)
		return;
	unit->has_scopes = true;
	unit->has_lines = allow_lines(dwarf, unit);
	if (ml_split_unit_is_skeleton(&unit->die))
		unit->split = ml_split_unit_open(&dwarf->split, &unit->die);
	ml_dwarf_scopes_read(dwarf_of(dwarf, unit), unit->split ? &unit->split->die : &unit->die,
			     unit->split ? &unit->split->ranges : NULL, &unit->scopes);
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
	/* Also a split unit counts the files of its skeleton's line table: .debug_line.dwo is for
	 * type units (GCC writes the same files there, Clang others). */
	if (unit->has_lines && dwarf_attr(die, DW_AT_call_file, &attribute) &&
	    dwarf_formudata(&attribute, &value) == 0 &&
	    dwarf_getsrcfiles(&unit->die, &files, &count) == 0 && value < count)
		out->file = dwarf_filesrc(files, value, NULL, NULL);
}

static bool lookup_in_unit(struct ml_dwarf *dwarf, struct unit *unit, uint64_t address,
			   struct ml_dwarf_frames *out)
{
	struct ml_dwarf_scope_at chain[ML_DWARF_DEPTH_MAX];
	struct ml_dwarf_frame frame = {0};

	need_unit(dwarf, unit);
	find_line(unit, address, &frame);

	unsigned int depth = ml_dwarf_scopes_find(&unit->scopes, address, chain);

	if (depth == 0 && !frame.file)
		return false;
	if (depth == 0)
		*ml_array_push(&out->list) = frame;
	for (unsigned int i = 0; i < depth; i++) {
		struct ml_dwarf_frame outer = {0};
		Dwarf_Die die;

		if (dwarf_offdie(dwarf_of(dwarf, unit), chain[i].die, &die)) {
			frame.name = die_name(&die);
			if (chain[i].is_inlined)
				find_call(unit, &die, &outer);
		}
		frame.start = chain[i].start;
		frame.is_inlined = chain[i].is_inlined && i + 1 < depth;
		*ml_array_push(&out->list) = frame;
		frame = outer;
	}
	return true;
}

void ml_dwarf_lookup(struct ml_dwarf *dwarf, uint64_t address, struct ml_dwarf_frames *out)
{
	unsigned int looked_at = 0, tried = 0;

	out->list.count = 0;
	for (size_t i = ml_sorted_up_to(dwarf->ranges.items, dwarf->ranges.count, low, address);
	     i-- > 0;) {
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

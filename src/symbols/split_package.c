/* SPDX-License-Identifier: BSD-2-Clause */
#include "symbols/split_package.h"

#define INDEX       ".debug_cu_index"
#define COLUMNS_MAX 16
/* A table that is not damaged is at most two thirds full: a search ends long before. */
#define PROBES_MAX 4096

/** .debug_cu_index: a hash table of unit ids, then two tables of a row a unit (DWARF 5 §7.3.5). */
struct index {
	const struct ml_image *package;
	uint64_t offset; /**< in the file */
	uint64_t size;
	uint32_t version; /**< 2 (GNU's, for DWARF 4) or 5 */
	uint32_t columns, units, slots;
};

static bool read_at(const struct index *index, uint64_t at, void *out, size_t size)
{
	return at <= index->size && size <= index->size - at &&
	       ml_image_read(index->package, index->offset + at, out, size);
}

static bool open_index(const struct ml_image *package, struct index *out)
{
	const Elf64_Shdr *section = ml_image_section_named(package, INDEX);
	uint32_t header[4];

	if (!section || (section->sh_flags & SHF_COMPRESSED))
		return false;
	*out = (struct index){
		.package = package,
		.offset = section->sh_offset,
		.size = section->sh_size,
	};
	if (!read_at(out, 0, header, sizeof(header)))
		return false;
	/* DWARF 5 gives the version two bytes, and two of padding. */
	out->version = header[0];
	out->columns = header[1];
	out->units = header[2];
	out->slots = header[3];
	return (out->version == 2 || out->version == 5) && out->columns > 0 &&
	       out->columns <= COLUMNS_MAX && out->slots > 0 &&
	       (out->slots & (out->slots - 1)) == 0;
}

/* The row of unit @p id, counted from 1; 0 when there is none. */
static uint32_t find_row(const struct index *index, uint64_t id)
{
	uint64_t ids = 4 * sizeof(uint32_t), rows = ids + sizeof(id) * (uint64_t)index->slots;
	uint64_t mask = index->slots - 1;
	uint64_t slot = id & mask, step = (id >> 32 & mask) | 1;

	for (unsigned int i = 0; i < PROBES_MAX; i++, slot = (slot + step) & mask) {
		uint64_t found;
		uint32_t row;

		if (!read_at(index, ids + slot * sizeof(found), &found, sizeof(found)) ||
		    !read_at(index, rows + slot * sizeof(row), &row, sizeof(row)) || row == 0)
			return 0;
		if (found == id)
			return row <= index->units ? row : 0;
	}
	return 0;
}

/* What column @p kind (DW_SECT_…) is about; ML_DWARF_SECTIONS: nothing that is needed. */
static enum ml_dwarf_section section_of(const struct index *index, uint32_t kind)
{
	switch (kind) {
	case 1:
		return ML_DWARF_INFO;
	case 3:
		return ML_DWARF_ABBREV;
	case 4:
		return ML_DWARF_LINE;
	case 6:
		return ML_DWARF_STR_OFFSETS;
	case 8:
		return index->version == 5 ? ML_DWARF_RNGLISTS : ML_DWARF_SECTIONS;
	default:
		return ML_DWARF_SECTIONS;
	}
}

bool ml_split_package_find(const struct ml_image *package, uint64_t id,
			   struct ml_dwarf_part parts[ML_DWARF_SECTIONS])
{
	uint32_t kinds[COLUMNS_MAX], offsets[COLUMNS_MAX], sizes[COLUMNS_MAX];
	struct index index = {0};
	uint32_t row = open_index(package, &index) ? find_row(&index, id) : 0;
	size_t row_size = index.columns * sizeof(*kinds);
	uint64_t table = 4 * sizeof(uint32_t) +
			 (sizeof(uint64_t) + sizeof(uint32_t)) * (uint64_t)index.slots;

	/* Row 0 of the first table holds what the columns are; the second one has none. */
	if (row == 0 || !read_at(&index, table, kinds, row_size) ||
	    !read_at(&index, table + row * row_size, offsets, row_size) ||
	    !read_at(&index, table + ((uint64_t)index.units + row) * row_size, sizes, row_size))
		return false;
	for (uint32_t i = 0; i < index.columns; i++) {
		enum ml_dwarf_section section = section_of(&index, kinds[i]);

		if (section == ML_DWARF_SECTIONS)
			continue;
		parts[section] = ml_dwarf_part_find(package, section, ".dwo");
		if (!parts[section].section)
			return false;
		parts[section].skip = offsets[i];
		parts[section].size = sizes[i];
	}
	parts[ML_DWARF_STR] = ml_dwarf_part_find(package, ML_DWARF_STR, ".dwo");
	return true;
}

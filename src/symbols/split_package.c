/* SPDX-License-Identifier: BSD-2-Clause */
#include "symbols/split_package.h"

#include "base/array.h"

#include <stdlib.h>
#include <string.h>

#define INDEX       ".debug_cu_index"
#define COLUMNS_MAX 16
/* A table that is not damaged is at most two thirds full: a search ends long before. */
#define PROBES_MAX 4096

/** A section in memory, with ML_DWARF_PADDING zeroes behind it; bytes is NULL when it has none. */
struct loaded {
	uint8_t *bytes; /**< owned */
	uint64_t size;
	bool is_known; /**< has been tried */
};

struct ml_split_package {
	struct ml_image image;
	struct loaded index; /**< .debug_cu_index: ids by hash, then two tables (DWARF 5 §7.3.5) */
	/** Compressed sections, and the strings, which all units share. */
	struct loaded sections[ML_DWARF_SECTIONS];
	uint64_t bytes_left; /**< that sections may still take */
	uint32_t version;    /**< of the index: 2 (GNU's, for DWARF 4) or 5 */
	uint32_t columns, units, slots;
};

static void load(struct ml_split_package *package, const Elf64_Shdr *section, struct loaded *out)
{
	uint64_t size = section ? ml_image_section_size(&package->image, section) : 0;

	if (out->is_known)
		return;
	out->is_known = true;
	if (size == 0 || size > package->bytes_left)
		return;

	uint8_t *bytes = calloc(1, size + ML_DWARF_PADDING);

	if (!bytes || !ml_image_section_read(&package->image, section, bytes, size)) {
		free(bytes);
		return;
	}
	out->bytes = bytes;
	out->size = size;
	package->bytes_left -= size;
}

static bool read_at(const struct ml_split_package *package, uint64_t at, void *out, size_t size)
{
	const struct loaded *index = &package->index;

	if (at > index->size || size > index->size - at)
		return false;
	memcpy(out, index->bytes + at, size);
	return true;
}

static bool read_index(struct ml_split_package *package)
{
	uint32_t header[4];

	load(package, ml_image_section_named(&package->image, INDEX), &package->index);
	if (!package->index.bytes || !read_at(package, 0, header, sizeof(header)))
		return false;
	/* DWARF 5 gives the version two bytes, and two of padding. */
	package->version = header[0];
	package->columns = header[1];
	package->units = header[2];
	package->slots = header[3];
	return (package->version == 2 || package->version == 5) && package->columns > 0 &&
	       package->columns <= COLUMNS_MAX && package->slots > 0 &&
	       (package->slots & (package->slots - 1)) == 0;
}

struct ml_split_package *ml_split_package_open(int fd, const char *path)
{
	struct ml_image image;
	ML_ERROR_CLEANUP struct ml_error *error = ml_image_open(fd, path, &image);

	if (error)
		return NULL;

	struct ml_split_package *package = ml_alloc(sizeof(*package));

	package->image = image;
	package->bytes_left = ml_dwarf_size_limit();
	if (read_index(package))
		return package;
	ml_split_package_close(package);
	return NULL;
}

void ml_split_package_close(struct ml_split_package *package)
{
	if (!package)
		return;
	for (size_t i = 0; i < ML_DWARF_SECTIONS; i++)
		free(package->sections[i].bytes);
	free(package->index.bytes);
	ml_image_deinit(&package->image);
	free(package);
}

const struct ml_image *ml_split_package_image(const struct ml_split_package *package)
{
	return &package->image;
}

/* The row of unit @p id, counted from 1; 0 when there is none. */
static uint32_t find_row(const struct ml_split_package *package, uint64_t id)
{
	uint64_t ids = 4 * sizeof(uint32_t), rows = ids + sizeof(id) * (uint64_t)package->slots;
	uint64_t mask = package->slots - 1;
	uint64_t slot = id & mask, step = (id >> 32 & mask) | 1;

	for (unsigned int i = 0; i < PROBES_MAX; i++, slot = (slot + step) & mask) {
		uint64_t found;
		uint32_t row;

		if (!read_at(package, ids + slot * sizeof(found), &found, sizeof(found)) ||
		    !read_at(package, rows + slot * sizeof(row), &row, sizeof(row)) || row == 0)
			return 0;
		if (found == id)
			return row <= package->units ? row : 0;
	}
	return 0;
}

/* What column @p kind (DW_SECT_…) is about; ML_DWARF_SECTIONS: nothing that is needed. */
static enum ml_dwarf_section section_of(const struct ml_split_package *package, uint32_t kind)
{
	switch (kind) {
	case 1:
		return ML_DWARF_INFO;
	case 3:
		return ML_DWARF_ABBREV;
	case 6:
		return ML_DWARF_STR_OFFSETS;
	case 8:
		return package->version == 5 ? ML_DWARF_RNGLISTS : ML_DWARF_SECTIONS;
	default:
		return ML_DWARF_SECTIONS;
	}
}

/* Bytes [@p skip, @p skip + @p size) of @p section: out of the file, or, when they are compressed
 * there, out of memory. */
static bool take_part(struct ml_split_package *package, enum ml_dwarf_section section,
		      uint32_t skip, uint32_t size, struct ml_dwarf_part *out)
{
	struct loaded *loaded = &package->sections[section];

	*out = ml_dwarf_part_find(&package->image, section, ".dwo");
	if (!out->section || skip > out->size || size > out->size - skip)
		return false;
	if (out->size == out->section->sh_size && !(out->section->sh_flags & SHF_COMPRESSED)) {
		out->skip = skip;
		out->size = size;
		return true;
	}
	load(package, out->section, loaded);
	if (!loaded->bytes)
		return false;
	*out = (struct ml_dwarf_part){.memory = loaded->bytes + skip, .size = size};
	return true;
}

static void take_strings(struct ml_split_package *package, struct ml_dwarf_part *out)
{
	struct loaded *strings = &package->sections[ML_DWARF_STR];

	load(package, ml_dwarf_part_find(&package->image, ML_DWARF_STR, ".dwo").section, strings);
	*out = (struct ml_dwarf_part){
		.memory = strings->bytes,
		.size = strings->size,
		.is_shared = true,
	};
}

bool ml_split_package_find(struct ml_split_package *package, uint64_t id,
			   struct ml_dwarf_part parts[ML_DWARF_SECTIONS])
{
	uint32_t kinds[COLUMNS_MAX], offsets[COLUMNS_MAX], sizes[COLUMNS_MAX];
	uint32_t row = find_row(package, id);
	size_t row_size = package->columns * sizeof(*kinds);
	uint64_t table = 4 * sizeof(uint32_t) +
			 (sizeof(uint64_t) + sizeof(uint32_t)) * (uint64_t)package->slots;

	/* Row 0 of the first table holds what the columns are; the second one has none. */
	if (row == 0 || !read_at(package, table, kinds, row_size) ||
	    !read_at(package, table + row * row_size, offsets, row_size) ||
	    !read_at(package, table + ((uint64_t)package->units + row) * row_size, sizes, row_size))
		return false;
	for (uint32_t i = 0; i < package->columns; i++) {
		enum ml_dwarf_section section = section_of(package, kinds[i]);

		if (section != ML_DWARF_SECTIONS &&
		    !take_part(package, section, offsets[i], sizes[i], &parts[section]))
			return false;
	}
	take_strings(package, &parts[ML_DWARF_STR]);
	return true;
}

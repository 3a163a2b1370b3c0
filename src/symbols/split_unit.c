/* SPDX-License-Identifier: BSD-2-Clause */
#include "symbols/split_unit.h"

#include "base/array.h"
#include "base/file.h"
#include "base/strbuf.h"

#include <dwarf.h>
#include <string.h>

/* What the units of one module may take together. */
#define UNITS_BYTES_MAX (512ULL << 20)
#define NAME_LENGTH_MAX 4096
/* Of .debug_info.dwo, one a type. */
#define INFO_SECTIONS_MAX (1U << 16)

static bool number_of(Dwarf_Die *die, unsigned int name, Dwarf_Word *out)
{
	Dwarf_Attribute attribute;

	return dwarf_attr(die, name, &attribute) && dwarf_formudata(&attribute, out) == 0;
}

static const char *text_of(Dwarf_Die *die, unsigned int name)
{
	Dwarf_Attribute attribute;
	const char *text = dwarf_attr(die, name, &attribute) ? dwarf_formstring(&attribute) : NULL;

	return text && strlen(text) <= NAME_LENGTH_MAX ? text : NULL;
}

static const char *file_name_of(Dwarf_Die *skeleton)
{
	const char *name = text_of(skeleton, DW_AT_dwo_name);

	return name ? name : text_of(skeleton, DW_AT_GNU_dwo_name);
}

bool ml_split_unit_is_skeleton(Dwarf_Die *unit)
{
	return file_name_of(unit) != NULL;
}

/* Takes @p fd over. */
static bool open_file(int fd, const char *path, struct ml_image *out)
{
	if (fd < 0)
		return false;

	ML_ERROR_CLEANUP struct ml_error *error = ml_image_open(fd, path, out);

	return !error;
}

static void need_package(struct ml_split_source *source)
{
	ML_STRBUF_CLEANUP struct ml_strbuf path = {0};

	if (source->is_package_known)
		return;
	source->is_package_known = true;
	ml_strbuf_printf(&path, "%s.dwp", ml_module_path(source->module));

	int fd = ml_debug_file_open(source->module, source->opener, path.text);

	if (fd >= 0)
		source->package = ml_split_package_open(fd, path.text);
}

/* Moves the start of @p bytes on; none are left when that is beyond the end. */
static struct ml_dwarf_bytes skip(struct ml_dwarf_bytes bytes, uint64_t size)
{
	if (size >= bytes.size)
		return (struct ml_dwarf_bytes){0};
	return (struct ml_dwarf_bytes){.bytes = bytes.bytes + size, .size = bytes.size - size};
}

/* The length of what follows in a table of DWARF 5 whose header ends at @p end. */
static uint64_t length_before(const uint8_t *end, uint8_t offset_size)
{
	uint64_t length = 0;

	memcpy(&length, end - 4 - offset_size, offset_size);
	return length;
}

/* Addresses stay in the program, for the linker has to write them. In DWARF 5 a header stands
 * before them: their length, behind 0xffffffff in the 64-bit format, and 4 bytes (§7.27). */
static struct ml_dwarf_bytes addresses_of(const struct ml_split_source *source, Dwarf_Die *skeleton)
{
	struct ml_dwarf_bytes all = source->main->sections[ML_DWARF_ADDR];
	uint8_t offset_size = 4;
	Dwarf_Word base = 0;
	uint64_t length;

	if (!number_of(skeleton, DW_AT_addr_base, &base)) {
		number_of(skeleton, DW_AT_GNU_addr_base, &base);
		return skip(all, base);
	}
	dwarf_cu_info(skeleton->cu, NULL, NULL, NULL, NULL, NULL, NULL, &offset_size);
	if (base < 4U + offset_size || base >= all.size)
		return (struct ml_dwarf_bytes){0};
	length = length_before(all.bytes + base, offset_size);
	all = skip(all, base);
	if (length >= 4 && length - 4 < all.size)
		all.size = length - 4;
	return all;
}

static void fill_ranges(const struct ml_split_source *source, Dwarf_Die *skeleton,
			struct ml_split_unit *unit)
{
	struct ml_split_ranges *ranges = &unit->ranges;
	Dwarf_Half version = 0;
	Dwarf_Word base = 0;

	dwarf_cu_info(unit->die.cu, &version, NULL, NULL, NULL, NULL, NULL, &ranges->offset_size);
	ranges->version = version;
	dwarf_lowpc(skeleton, &ranges->base);
	ranges->addresses = unit->image.sections[ML_DWARF_ADDR];
	ranges->lists = unit->image.sections[ML_DWARF_RNGLISTS];
	if (version >= 5)
		return;
	number_of(skeleton, DW_AT_GNU_ranges_base, &base);
	ranges->lists = skip(source->main->sections[ML_DWARF_RANGES], base);
}

/* The root of the unit called @p id. */
static bool find_root(struct ml_dwarf_image *image, uint64_t id, Dwarf_Die *out)
{
	Dwarf_CU *unit = NULL;
	Dwarf_Die die;
	uint8_t type;

	while (dwarf_get_units(image->dwarf, unit, &unit, NULL, &type, &die, NULL) == 0) {
		uint64_t found = 0;

		dwarf_cu_info(unit, NULL, NULL, NULL, NULL, &found, NULL, NULL);
		if (type != DW_UT_split_compile || found != id)
			continue;
		*out = die;
		return true;
	}
	return false;
}

/* Makes unit @p id of @p parts, which lie in @p file; NULL when it is not there. */
static struct ml_split_unit *make_unit(struct ml_split_source *source, Dwarf_Die *skeleton,
				       uint64_t id, const struct ml_image *file,
				       struct ml_dwarf_part *parts)
{
	struct ml_dwarf_bytes addresses = addresses_of(source, skeleton);
	struct ml_split_unit *unit = ml_alloc(sizeof(*unit));
	uint64_t size = 0;

	parts[ML_DWARF_ADDR] = (struct ml_dwarf_part){
		.memory = addresses.bytes,
		.size = addresses.size,
	};
	if (!ml_dwarf_image_open_parts(file, parts, UNITS_BYTES_MAX - source->bytes_used,
				       &unit->image) ||
	    !find_root(&unit->image, id, &unit->die)) {
		ml_split_unit_close(unit);
		return NULL;
	}
	for (size_t i = 0; i < ML_DWARF_SECTIONS; i++)
		size += parts[i].is_shared ? 0 : parts[i].size;
	source->bytes_used += size;
	fill_ranges(source, skeleton, unit);
	return unit;
}

static struct ml_split_unit *open_in_package(struct ml_split_source *source, Dwarf_Die *skeleton,
					     uint64_t id)
{
	struct ml_dwarf_part parts[ML_DWARF_SECTIONS] = {0};

	need_package(source);
	if (!source->package || !ml_split_package_find(source->package, id, parts))
		return NULL;
	return make_unit(source, skeleton, id, ml_split_package_image(source->package), parts);
}

/* The first bytes of @p section; what a compressed one takes is taken off @p bytes_left. */
static bool read_start(const struct ml_image *file, const Elf64_Shdr *section, uint8_t *start,
		       size_t start_size, uint64_t *bytes_left)
{
	uint64_t size = ml_image_section_size(file, section);

	if (size < start_size)
		return false;
	if (size == section->sh_size)
		return ml_image_read(file, section->sh_offset, start, start_size);
	if (size > *bytes_left)
		return false;
	*bytes_left -= size;

	ML_FREE_CLEANUP uint8_t *bytes = malloc((size_t)size);

	if (!bytes || !ml_image_section_read(file, section, bytes, (size_t)size))
		return false;
	memcpy(start, bytes, start_size);
	return true;
}

/* True when the unit that begins with these 16 bytes is one of types (DWARF 5 §7.5.1). */
static bool is_type_unit(const uint8_t *start)
{
	bool is_64_bit = memcmp(start, "\xff\xff\xff\xff", 4) == 0;
	uint16_t version;

	start += is_64_bit ? 12 : 4;
	memcpy(&version, start, sizeof(version));
	return version == 5 && start[2] == DW_UT_split_type;
}

/* The section of @p file with the compile unit: with -fdebug-types-section type units have one each
 * of the same name. */
static struct ml_dwarf_part find_info(const struct ml_image *file)
{
	struct ml_dwarf_part part = ml_dwarf_part_find(file, ML_DWARF_INFO, ".dwo");
	const Elf64_Shdr *at = part.section;
	uint64_t bytes_left = UNITS_BYTES_MAX;
	uint8_t start[16];

	for (unsigned int tried = 0; at && tried < INFO_SECTIONS_MAX; tried++) {
		if (!read_start(file, at, start, sizeof(start), &bytes_left))
			break;
		if (!is_type_unit(start)) {
			part.section = at;
			part.size = ml_image_section_size(file, at);
			break;
		}
		at = ml_image_section_behind(file, at, ml_image_section_name(file, at));
	}
	return part;
}

static struct ml_split_unit *open_at(struct ml_split_source *source, Dwarf_Die *skeleton,
				     uint64_t id, const char *path)
{
	static const enum ml_dwarf_section wanted[] = {ML_DWARF_ABBREV, ML_DWARF_STR,
						       ML_DWARF_RNGLISTS, ML_DWARF_STR_OFFSETS};
	struct ml_dwarf_part parts[ML_DWARF_SECTIONS] = {0};
	int fd = ml_debug_file_open(source->module, source->opener, path);
	struct ml_image file;

	if (!open_file(fd, path, &file))
		return NULL;
	for (size_t i = 0; i < sizeof(wanted) / sizeof(*wanted); i++)
		parts[wanted[i]] = ml_dwarf_part_find(&file, wanted[i], ".dwo");
	parts[ML_DWARF_INFO] = find_info(&file);

	struct ml_split_unit *unit = make_unit(source, skeleton, id, &file, parts);

	ml_image_deinit(&file);
	return unit;
}

/* Where the compiler left the file, or, when the program was moved, beside it. */
static struct ml_split_unit *open_by_name(struct ml_split_source *source, Dwarf_Die *skeleton,
					  uint64_t id)
{
	const char *name = file_name_of(skeleton), *folder = text_of(skeleton, DW_AT_comp_dir);
	const char *module = ml_module_path(source->module), *slash = strrchr(module, '/');
	const char *last = strrchr(name, '/');
	ML_STRBUF_CLEANUP struct ml_strbuf path = {0};
	struct ml_split_unit *unit = NULL;

	if (name[0] == '/')
		unit = open_at(source, skeleton, id, name);
	else if (folder && folder[0] == '/') {
		ml_strbuf_printf(&path, "%s/%s", folder, name);
		unit = open_at(source, skeleton, id, path.text);
	}
	if (unit || !slash)
		return unit;
	ml_strbuf_clear(&path);
	ml_strbuf_printf(&path, "%.*s/%s", (int)(slash - module), module, last ? last + 1 : name);
	return open_at(source, skeleton, id, path.text);
}

struct ml_split_unit *ml_split_unit_open(struct ml_split_source *source, Dwarf_Die *skeleton)
{
	struct ml_split_unit *unit;
	uint64_t id = 0;

	if (dwarf_cu_info(skeleton->cu, NULL, NULL, NULL, NULL, &id, NULL, NULL) != 0 || id == 0)
		return NULL;
	unit = open_in_package(source, skeleton, id);
	return unit ? unit : open_by_name(source, skeleton, id);
}

void ml_split_unit_close(struct ml_split_unit *unit)
{
	if (!unit)
		return;
	ml_dwarf_image_close(&unit->image);
	free(unit);
}

void ml_split_source_deinit(struct ml_split_source *source)
{
	ml_split_package_close(source->package);
	source->package = NULL;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "symbols/split_ranges.h"

#include "base/cursor.h"

#include <dwarf.h>

/* Of .debug_rnglists (DWARF 5 §7.28): lengths and versions, then the offsets of the lists. */
#define HEADER_SIZE    12
#define HEADER_SIZE_64 20
/* Entries that only set the base give no range. */
#define ENTRIES_MAX 8192

/** A list while it is read. */
struct list {
	const struct ml_split_ranges *split;
	struct ml_cursor at;
	uint64_t base;
};

static uint64_t address_at(const struct list *list, uint64_t index)
{
	const struct ml_dwarf_bytes *addresses = &list->split->addresses;
	uint64_t address = 0;

	if (index < addresses->size / sizeof(address))
		memcpy(&address, addresses->bytes + index * sizeof(address), sizeof(address));
	return address;
}

/* One entry of version 4: two addresses. False at the end; an empty range when there is none. */
static bool read_pair(struct list *list, struct ml_dwarf_range *out)
{
	uint64_t low = ml_cursor_unsigned(&list->at, sizeof(low));
	uint64_t high = ml_cursor_unsigned(&list->at, sizeof(high));

	if (list->at.failed || (low == 0 && high == 0))
		return false;
	*out = (struct ml_dwarf_range){0};
	if (low == UINT64_MAX)
		list->base = high;
	else
		*out = (struct ml_dwarf_range){.low = list->base + low, .high = list->base + high};
	return true;
}

/* The same of version 5 (DWARF 5 §2.17.3). */
static bool read_entry(struct list *list, struct ml_dwarf_range *out)
{
	struct ml_cursor *at = &list->at;
	uint8_t kind = ml_cursor_u8(at);
	uint64_t low = 0, high = 0;

	switch (kind) {
	case DW_RLE_base_addressx:
		list->base = address_at(list, ml_cursor_uleb(at));
		break;
	case DW_RLE_base_address:
		list->base = ml_cursor_unsigned(at, sizeof(low));
		break;
	case DW_RLE_startx_endx:
		low = address_at(list, ml_cursor_uleb(at));
		high = address_at(list, ml_cursor_uleb(at));
		break;
	case DW_RLE_startx_length:
		low = address_at(list, ml_cursor_uleb(at));
		high = low + ml_cursor_uleb(at);
		break;
	case DW_RLE_offset_pair:
		low = list->base + ml_cursor_uleb(at);
		high = list->base + ml_cursor_uleb(at);
		break;
	case DW_RLE_start_end:
		low = ml_cursor_unsigned(at, sizeof(low));
		high = ml_cursor_unsigned(at, sizeof(high));
		break;
	case DW_RLE_start_length:
		low = ml_cursor_unsigned(at, sizeof(low));
		high = low + ml_cursor_uleb(at);
		break;
	default: /* DW_RLE_end_of_list, and what there is not */
		return false;
	}
	*out = (struct ml_dwarf_range){.low = low, .high = high};
	return !at->failed;
}

/* Where the list of DW_AT_ranges begins in the lists. */
static bool find_list(const struct ml_split_ranges *split, Dwarf_Attribute *attribute,
		      uint64_t *offset)
{
	size_t header = split->offset_size == 8 ? HEADER_SIZE_64 : HEADER_SIZE;
	uint64_t word = 0;
	Dwarf_Word index;

	if (dwarf_whatform(attribute) != DW_FORM_rnglistx) {
		/* Not dwarf_formudata(): that checks the value against libdw's own idea of the
		 * section. Images have zeroes behind each section, more than this reads. */
		memcpy(&word, attribute->valp, split->offset_size);
		*offset = word;
		return true;
	}
	if (dwarf_formudata(attribute, &index) != 0 || split->lists.size < header ||
	    index >= (split->lists.size - header) / split->offset_size)
		return false;
	memcpy(&word, split->lists.bytes + header + index * split->offset_size, split->offset_size);
	*offset = header + word;
	return *offset >= word;
}

static size_t read_list(const struct ml_split_ranges *split, uint64_t offset,
			struct ml_dwarf_range *out, size_t limit)
{
	struct list list = {.split = split, .base = split->base};
	struct ml_dwarf_range range;
	size_t count = 0;

	if (offset >= split->lists.size)
		return 0;
	list.at.at = split->lists.bytes + offset;
	list.at.end = split->lists.bytes + split->lists.size;
	for (unsigned int i = 0; i < ENTRIES_MAX && count < limit; i++) {
		if (!(split->version < 5 ? read_pair(&list, &range) : read_entry(&list, &range)))
			break;
		if (range.low < range.high)
			out[count++] = range;
	}
	return count;
}

size_t ml_split_ranges_read(const struct ml_split_ranges *split, Dwarf_Die *die,
			    struct ml_dwarf_range *out, size_t limit)
{
	Dwarf_Attribute attribute;
	uint64_t offset;

	if (dwarf_attr(die, DW_AT_ranges, &attribute))
		return find_list(split, &attribute, &offset) ? read_list(split, offset, out, limit)
							     : 0;
	if (limit == 0 || dwarf_lowpc(die, &out->low) != 0 || dwarf_highpc(die, &out->high) != 0 ||
	    out->low >= out->high)
		return 0;
	return 1;
}

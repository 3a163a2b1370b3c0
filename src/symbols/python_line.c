/* SPDX-License-Identifier: BSD-2-Clause */
#include "symbols/python_line.h"

#include <stdbool.h>

/* Kinds of entries that say where the line is: Objects/locations.md of CPython 3.11. */
enum location_kind {
	KIND_ONE_LINE_0 = 10,
	KIND_ONE_LINE_2 = 12,
	KIND_NO_COLUMNS = 13,
	KIND_LONG = 14,
	KIND_NONE = 15,
};

#define CODE_UNIT_BYTES 2

/* Groups of 6 bits, the lowest first; a group that is not the last has bit 6 set. */
static bool read_varint(const uint8_t *table, size_t size, size_t *at, uint32_t *value)
{
	uint32_t result = 0;

	for (unsigned int shift = 0; *at < size && shift < 32; shift += 6) {
		uint8_t byte = table[(*at)++];

		result |= (uint32_t)(byte & 63) << shift;
		if (!(byte & 64)) {
			*value = result;
			return true;
		}
	}
	return false;
}

/* How many lines the entry of @kind at *@at goes on from the one before. */
static bool read_line_step(const uint8_t *table, size_t size, size_t *at, unsigned int kind,
			   int64_t *step)
{
	uint32_t coded;

	*step = 0;
	if (kind >= KIND_ONE_LINE_0 && kind <= KIND_ONE_LINE_2) {
		*step = kind - KIND_ONE_LINE_0;
		return true;
	}
	if (kind != KIND_NO_COLUMNS && kind != KIND_LONG)
		return true;
	if (!read_varint(table, size, at, &coded))
		return false;
	/* The sign is in the lowest bit. */
	*step = coded & 1 ? -(int64_t)(coded >> 1) : (int64_t)(coded >> 1);
	return true;
}

int ml_python_line(const uint8_t *table, size_t size, int first_line, uint64_t offset)
{
	int64_t line = first_line, step;
	uint64_t end = 0;

	for (size_t at = 0; at < size;) {
		uint8_t head = table[at++];
		unsigned int kind = head >> 3 & 15;

		/* An entry begins with bit 7 set; what follows up to the next one is its columns.
		 */
		if (!(head & 128) || !read_line_step(table, size, &at, kind, &step))
			return 0;
		while (at < size && !(table[at] & 128))
			at++;
		line += step;
		end += ((head & 7) + 1U) * CODE_UNIT_BYTES;
		if (offset < end)
			return kind == KIND_NONE || line <= 0 || line > INT32_MAX ? 0 : (int)line;
	}
	return 0;
}

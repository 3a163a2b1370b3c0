/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * A reader of hostile bytes: never past the end, and once it failed it stays failed and gives 0.
 */
#ifndef ML_BASE_CURSOR_H
#define ML_BASE_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct ml_cursor {
	const uint8_t *at;
	const uint8_t *end;
	bool failed; /**< something was read beyond the end, or made no sense */
};

static inline size_t ml_cursor_left(const struct ml_cursor *cursor)
{
	return (size_t)(cursor->end - cursor->at);
}

static inline void ml_cursor_fail(struct ml_cursor *cursor)
{
	cursor->failed = true;
	cursor->at = cursor->end;
}

/** Copies the next @p size bytes (at most 8, little endian) as an unsigned number. */
static inline uint64_t ml_cursor_unsigned(struct ml_cursor *cursor, size_t size)
{
	uint64_t value = 0;

	if (size > ml_cursor_left(cursor)) {
		ml_cursor_fail(cursor);
		return 0;
	}
	memcpy(&value, cursor->at, size);
	cursor->at += size;
	return value;
}

/** The same, sign-extended; @p size is 1 to 8. */
static inline int64_t ml_cursor_signed(struct ml_cursor *cursor, size_t size)
{
	unsigned int shift = 64 - 8 * (unsigned int)size;

	return (int64_t)(ml_cursor_unsigned(cursor, size) << shift) >> shift;
}

static inline uint8_t ml_cursor_u8(struct ml_cursor *cursor)
{
	return (uint8_t)ml_cursor_unsigned(cursor, 1);
}

/** The bits of a LEB128 number; *@p shift is how many were given. Longer than 10 bytes fails. */
static inline uint64_t ml_cursor_leb(struct ml_cursor *cursor, unsigned int *shift, uint8_t *last)
{
	uint64_t value = 0;
	uint8_t byte;

	*shift = 0;
	do {
		byte = ml_cursor_u8(cursor);
		if (*shift >= 64) {
			ml_cursor_fail(cursor);
			return 0;
		}
		value |= (uint64_t)(byte & 0x7f) << *shift;
		*shift += 7;
	} while (byte & 0x80);
	*last = byte;
	return value;
}

static inline uint64_t ml_cursor_uleb(struct ml_cursor *cursor)
{
	unsigned int shift;
	uint8_t last;

	return ml_cursor_leb(cursor, &shift, &last);
}

static inline int64_t ml_cursor_sleb(struct ml_cursor *cursor)
{
	unsigned int shift;
	uint8_t last = 0;
	uint64_t value = ml_cursor_leb(cursor, &shift, &last);

	if (shift < 64 && (last & 0x40))
		value |= ~0ULL << shift;
	return (int64_t)value;
}

/** A number of 8 bytes in IEEE 754, little endian. */
static inline double ml_cursor_double(struct ml_cursor *cursor)
{
	uint64_t bits = ml_cursor_unsigned(cursor, 8);
	double value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

/** A cursor over the next @p size bytes, which are skipped here. */
static inline struct ml_cursor ml_cursor_take(struct ml_cursor *cursor, uint64_t size)
{
	struct ml_cursor part = {.at = cursor->at, .end = cursor->at};

	if (size > ml_cursor_left(cursor)) {
		ml_cursor_fail(cursor);
		part.failed = true;
		return part;
	}
	cursor->at += size;
	part.end = cursor->at;
	return part;
}

/** The NUL-terminated text that comes next, or NULL. It lives as long as the bytes. */
static inline const char *ml_cursor_text(struct ml_cursor *cursor)
{
	const uint8_t *start = cursor->at;
	const uint8_t *nul = memchr(start, 0, ml_cursor_left(cursor));

	if (!nul) {
		ml_cursor_fail(cursor);
		return NULL;
	}
	cursor->at = nul + 1;
	return (const char *)start;
}

#endif

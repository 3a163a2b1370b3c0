/* SPDX-License-Identifier: BSD-2-Clause */
/** Writes LEB128 numbers (DWARF 5, section 7.6) into a buffer; base/cursor.h reads them. */
#ifndef ML_BASE_LEB_H
#define ML_BASE_LEB_H

#include "base/strbuf.h"

#include <stdint.h>
#include <string.h>

static inline void ml_leb_unsigned(struct ml_strbuf *out, uint64_t value)
{
	for (; value >= 0x80; value >>= 7)
		ml_strbuf_putc(out, (char)(value | 0x80));
	ml_strbuf_putc(out, (char)value);
}

static inline void ml_leb_signed(struct ml_strbuf *out, int64_t value)
{
	for (; value < -64 || value > 63; value >>= 7)
		ml_strbuf_putc(out, (char)(value | 0x80));
	ml_strbuf_putc(out, (char)(value & 0x7f));
}

/** @p size bytes (at most 8) of @p value, little endian. */
static inline void ml_leb_fixed(struct ml_strbuf *out, uint64_t value, unsigned int size)
{
	for (; size; size--, value >>= 8)
		ml_strbuf_putc(out, (char)value);
}

/** The 8 bytes of @p value in IEEE 754, little endian. */
static inline void ml_leb_double(struct ml_strbuf *out, double value)
{
	uint64_t bits;

	memcpy(&bits, &value, sizeof(bits));
	ml_leb_fixed(out, bits, sizeof(bits));
}

#endif

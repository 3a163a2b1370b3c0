/* SPDX-License-Identifier: BSD-2-Clause */
/** HotSpot's packed numbers, UNSIGNED5 (src/hotspot/share/utilities/unsigned5.hpp): up to five
 * digits to the base of 64, the low one first; a digit below 191 is the last one. */
#ifndef ML_TRACE_JAVA_STREAM_H
#define ML_TRACE_JAVA_STREAM_H

#include "base/cursor.h"

/** Since this version no byte of a number is 0. */
#define ML_JAVA_VERSION_WITHOUT_ZERO 20

/** The next number in the format of JDK @p version. */
static inline uint32_t ml_java_stream_unsigned(struct ml_cursor *cursor, uint32_t version)
{
	uint32_t excluded = version >= ML_JAVA_VERSION_WITHOUT_ZERO;
	uint32_t last_digit = 192 - excluded, sum = 0;

	for (unsigned int i = 0; i < 5; i++) {
		uint32_t digit = ml_cursor_u8(cursor);

		if (digit < excluded) {
			ml_cursor_fail(cursor);
			return 0;
		}
		digit -= excluded;
		sum += digit << (6 * i);
		if (digit < last_digit)
			break;
	}
	return sum;
}

/** The next number with a sign, which is its lowest bit. */
static inline int32_t ml_java_stream_signed(struct ml_cursor *cursor, uint32_t version)
{
	uint32_t value = ml_java_stream_unsigned(cursor, version);

	return (int32_t)(value >> 1 ^ -(value & 1));
}

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/** What is UTF-8 and what is not, for readers that insist on it. */
#ifndef ML_BASE_UTF8_H
#define ML_BASE_UTF8_H

#include "base/strbuf.h"

#include <stddef.h>

/**
 * Length of the well-formed UTF-8 sequence at @p text (a NUL ends the text), 0 when it is none: the
 * table of RFC 3629, so no overlong forms, no surrogates, nothing beyond U+10FFFF.
 */
size_t ml_utf8_length(const char *text);

/** How many bytes at the front of @p text are printable ASCII: most of most texts. */
static inline size_t ml_utf8_plain(const char *text)
{
	size_t length = 0;

	while (text[length] >= 0x20 && text[length] < 0x7f)
		length++;
	return length;
}

/**
 * Adds @p text as UTF-8 whatever it holds: control characters as \xNN, bytes that are none (and
 * U+FFFE and U+FFFF, which XML has not) as U+FFFD.
 */
void ml_utf8_clean(struct ml_strbuf *buf, const char *text);

#endif

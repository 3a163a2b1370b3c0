/* SPDX-License-Identifier: BSD-2-Clause */
/** What the formats for browsers write alike: text of the target as text, and figures for people.
 */
#ifndef ML_REPORT_MARKUP_H
#define ML_REPORT_MARKUP_H

#include "base/strbuf.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/**
 * Adds @p text as UTF-8 that shows what it holds: control characters as \xNN, those that are not to
 * be seen or turn the direction of writing as \u{N}, bytes that are not UTF-8 as U+FFFD.
 */
void ml_markup_clean(struct ml_strbuf *buf, const char *text);

/**
 * Writes @p text so that XML and HTML take it as text, also within a quoted attribute: markup
 * escaped, and cleaned as above.
 */
void ml_markup_text(FILE *out, const char *text);

/** The same, cut to @p limit characters with an ellipsis. */
void ml_markup_fitting(FILE *out, const char *text, size_t limit);

/** "23 B", "4.0 KiB". */
void ml_markup_bytes(FILE *out, double bytes);

/** "1 block", "23 blocks": @p noun with its number. */
void ml_markup_count(FILE *out, uint64_t count, const char *noun);

#endif

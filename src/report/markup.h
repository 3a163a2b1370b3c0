/* SPDX-License-Identifier: BSD-2-Clause */
/** What the formats for browsers write alike: text of the target as text, and figures for people.
 */
#ifndef ML_REPORT_MARKUP_H
#define ML_REPORT_MARKUP_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/**
 * Writes @p text so that XML and HTML take it as text, also within a quoted attribute: markup
 * escaped, control characters as \xNN, bytes that are not UTF-8 as U+FFFD.
 */
void ml_markup_text(FILE *out, const char *text);

/** The same, cut to @p limit characters with an ellipsis. */
void ml_markup_fitting(FILE *out, const char *text, size_t limit);

/** "1 byte", "23 bytes", "4.0 KiB". */
void ml_markup_bytes(FILE *out, double bytes);

/** "1 block", "23 blocks": @p noun with its number. */
void ml_markup_count(FILE *out, uint64_t count, const char *noun);

#endif

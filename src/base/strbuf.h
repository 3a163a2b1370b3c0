/* SPDX-License-Identifier: BSD-2-Clause */
/** A growing string. All-zero is the empty string. */
#ifndef ML_BASE_STRBUF_H
#define ML_BASE_STRBUF_H

#include <stdbool.h>
#include <stddef.h>

struct ml_strbuf {
	char *text;      /**< NUL-terminated when not NULL; owned */
	size_t length;   /**< bytes without the NUL */
	size_t capacity; /**< bytes allocated */
};

void ml_strbuf_add(struct ml_strbuf *buf, const char *text, size_t length);
void ml_strbuf_puts(struct ml_strbuf *buf, const char *text);
void ml_strbuf_putc(struct ml_strbuf *buf, char c);
void ml_strbuf_printf(struct ml_strbuf *buf, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/** Adds @p text with control bytes (C0, DEL, C1 in UTF-8) as \xNN, so that no terminal obeys them.
 */
void ml_strbuf_escaped(struct ml_strbuf *buf, const char *text);

/** The text, never NULL. Lives until the next change. */
const char *ml_strbuf_text(const struct ml_strbuf *buf);

/** Hands the text over (never NULL, free() it) and leaves the buffer empty. */
char *ml_strbuf_take(struct ml_strbuf *buf);

/** Makes it empty, keeping the memory. */
void ml_strbuf_clear(struct ml_strbuf *buf);

void ml_strbuf_free(struct ml_strbuf *buf);

#define ML_STRBUF_CLEANUP __attribute__((cleanup(ml_strbuf_free)))

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/strbuf.h"

#include "base/array.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void reserve(struct ml_strbuf *buf, size_t more)
{
	buf->text = ml_grow(buf->text, &buf->capacity, buf->length + more + 1, 1);
}

void ml_strbuf_add(struct ml_strbuf *buf, const char *text, size_t length)
{
	reserve(buf, length);
	/* libiberty adds empty texts that are NULL, which memcpy() must not get. */
	if (length > 0)
		memcpy(buf->text + buf->length, text, length);
	buf->length += length;
	buf->text[buf->length] = '\0';
}

void ml_strbuf_puts(struct ml_strbuf *buf, const char *text)
{
	ml_strbuf_add(buf, text, strlen(text));
}

void ml_strbuf_putc(struct ml_strbuf *buf, char c)
{
	ml_strbuf_add(buf, &c, 1);
}

void ml_strbuf_printf(struct ml_strbuf *buf, const char *format, ...)
{
	va_list args, again;

	va_start(args, format);
	va_copy(again, args);
	int length = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (length > 0) {
		reserve(buf, (size_t)length);
		vsnprintf(buf->text + buf->length, (size_t)length + 1, format, again);
		buf->length += (size_t)length;
	}
	va_end(again);
}

void ml_strbuf_escaped(struct ml_strbuf *buf, const char *text)
{
	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		bool c1 = p[0] == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f;

		if (c1)
			ml_strbuf_printf(buf, "\\x%02x", *++p);
		else if (*p < 0x20 || *p == 0x7f)
			ml_strbuf_printf(buf, "\\x%02x", *p);
		else
			ml_strbuf_putc(buf, (char)*p);
	}
}

const char *ml_strbuf_text(const struct ml_strbuf *buf)
{
	return buf->text ? buf->text : "";
}

char *ml_strbuf_take(struct ml_strbuf *buf)
{
	char *text = buf->text ? buf->text : ml_strdup("");

	*buf = (struct ml_strbuf){0};
	return text;
}

void ml_strbuf_clear(struct ml_strbuf *buf)
{
	buf->length = 0;
	if (buf->text)
		buf->text[0] = '\0';
}

void ml_strbuf_free(struct ml_strbuf *buf)
{
	free(buf->text);
	*buf = (struct ml_strbuf){0};
}

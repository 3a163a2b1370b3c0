/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/markup.h"

#include "base/human.h"
#include "base/utf8.h"

#include <inttypes.h>

/** The code point of @p length bytes at @p text, two or three; 0 for others. */
static unsigned int code_point(const char *text, size_t length)
{
	const unsigned char *bytes = (const unsigned char *)text;

	if (length == 2)
		return (bytes[0] & 0x1fu) << 6 | (bytes[1] & 0x3fu);
	if (length == 3)
		return (bytes[0] & 0xfu) << 12 | (bytes[1] & 0x3fu) << 6 | (bytes[2] & 0x3fu);
	return 0;
}

/** Format characters and line separators (general categories Cf, Zl, Zp) that people get sent. */
static bool is_hidden(unsigned int c)
{
	return c == 0xad || c == 0x61c || (c >= 0x200b && c <= 0x200f) ||
	       (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff;
}

void ml_markup_clean(struct ml_strbuf *buf, const char *text)
{
	ML_STRBUF_CLEANUP struct ml_strbuf clean = {0};
	size_t length;

	ml_utf8_clean(&clean, text);
	for (const char *p = ml_strbuf_text(&clean); *p; p += length) {
		length = ml_utf8_plain(p);
		if (length) {
			ml_strbuf_add(buf, p, length);
			continue;
		}
		length = ml_utf8_length(p);

		unsigned int c = code_point(p, length);

		if (is_hidden(c))
			ml_strbuf_printf(buf, "\\u{%x}", c);
		else
			ml_strbuf_add(buf, p, length);
	}
}

static void put_escaped(FILE *out, const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		switch (text[i]) {
		case '&':
			fputs("&amp;", out);
			break;
		case '<':
			fputs("&lt;", out);
			break;
		case '>':
			fputs("&gt;", out);
			break;
		case '"':
			fputs("&quot;", out);
			break;
		default:
			putc(text[i], out);
		}
	}
}

void ml_markup_text(FILE *out, const char *text)
{
	ML_STRBUF_CLEANUP struct ml_strbuf clean = {0};

	ml_markup_clean(&clean, text);
	put_escaped(out, ml_strbuf_text(&clean), clean.length);
}

void ml_markup_fitting(FILE *out, const char *text, size_t limit)
{
	ML_STRBUF_CLEANUP struct ml_strbuf clean = {0};
	size_t length = 0;

	ml_markup_clean(&clean, text);
	/* The last character is the ellipsis'. */
	for (size_t i = 1; i < limit && length < clean.length; i++)
		length += ml_utf8_length(clean.text + length);
	if (length < clean.length && ml_utf8_length(clean.text + length) == clean.length - length)
		length = clean.length;
	put_escaped(out, ml_strbuf_text(&clean), length);
	if (length < clean.length)
		fputs("\xe2\x80\xa6", out);
}

void ml_markup_bytes(FILE *out, double bytes)
{
	char text[ML_HUMAN_TEXT];

	fputs(ml_human_bytes(bytes, text), out);
}

void ml_markup_count(FILE *out, uint64_t count, const char *noun)
{
	fprintf(out, "%" PRIu64 " %s%s", count, noun, count == 1 ? "" : "s");
}

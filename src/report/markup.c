/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/markup.h"

#include "base/utf8.h"

#include <inttypes.h>

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

	ml_utf8_clean(&clean, text);
	put_escaped(out, ml_strbuf_text(&clean), clean.length);
}

void ml_markup_fitting(FILE *out, const char *text, size_t limit)
{
	ML_STRBUF_CLEANUP struct ml_strbuf clean = {0};
	size_t length = 0;

	ml_utf8_clean(&clean, text);
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
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	int unit = -1;

	for (; bytes >= 1024 && unit < 5; unit++)
		bytes /= 1024;
	if (unit < 0)
		fprintf(out, "%.0f byte%s", bytes, bytes == 1 ? "" : "s");
	else
		fprintf(out, "%.1f %s", bytes, units[unit]);
}

void ml_markup_count(FILE *out, uint64_t count, const char *noun)
{
	fprintf(out, "%" PRIu64 " %s%s", count, noun, count == 1 ? "" : "s");
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "live/fit.h"

#include <wchar.h>

/* One character of a text: its bytes and the columns it takes. */
struct glyph {
	const char *bytes;
	size_t length;
	unsigned int columns;
};

/* The character at @text; one that cannot be shown is a question mark. */
static struct glyph glyph_at(const char *text, size_t length)
{
	mbstate_t state = {0};
	wchar_t wide;
	size_t used = mbrtowc(&wide, text, length, &state);
	int columns = used && used <= length ? wcwidth(wide) : -1;

	if (columns < 0)
		return (struct glyph){"?", used && used <= length ? used : 1, 1};
	return (struct glyph){text, used, (unsigned int)columns};
}

static void fill(struct ml_strbuf *out, unsigned int columns)
{
	while (columns--)
		ml_strbuf_putc(out, ' ');
}

static void add_glyph(struct ml_strbuf *out, const struct glyph *glyph)
{
	ml_strbuf_add(out, glyph->bytes, *glyph->bytes == '?' ? 1 : glyph->length);
}

/* Adds to @cut what fits into @columns; gives the columns used. */
static unsigned int cut_to(struct ml_strbuf *cut, const struct ml_strbuf *text,
			   unsigned int columns)
{
	unsigned int used = 0, keep_used = 0;
	size_t at = 0, keep_length = 0;

	while (at < text->length) {
		struct glyph glyph = glyph_at(text->text + at, text->length - at);

		if (used + 1 <= columns) {
			keep_used = used;
			keep_length = cut->length;
		}
		if (used + glyph.columns > columns) {
			/* Back to where there is room for the mark. */
			cut->length = keep_length;
			if (cut->text)
				cut->text[keep_length] = '\0';
			ml_strbuf_putc(cut, '~');
			return keep_used + 1;
		}
		add_glyph(cut, &glyph);
		used += glyph.columns;
		at += glyph.length;
	}
	return used;
}

void ml_fit(struct ml_strbuf *out, const char *text, unsigned int columns, enum ml_fit fit)
{
	ML_STRBUF_CLEANUP struct ml_strbuf escaped = {0};
	ML_STRBUF_CLEANUP struct ml_strbuf cut = {0};

	if (!columns)
		return;
	ml_strbuf_escaped(&escaped, text);
	unsigned int used = cut_to(&cut, &escaped, columns);

	if (fit == ML_FIT_RIGHT)
		fill(out, columns - used);
	ml_strbuf_puts(out, ml_strbuf_text(&cut));
	if (fit == ML_FIT_LEFT)
		fill(out, columns - used);
}

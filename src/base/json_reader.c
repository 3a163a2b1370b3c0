/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/json_reader.h"

#include <stdbool.h>
#include <string.h>

#define BLANKS " \t\r\n"

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if ((c | 32) >= 'a' && (c | 32) <= 'f')
		return (c | 32) - 'a' + 10;
	return -1;
}

/* The four digits at @p at; -1 when they are none. */
static int read_unit(const char *at)
{
	int unit = 0;

	for (int i = 0; i < 4; i++) {
		int digit = hex_value(at[i]);

		if (digit < 0)
			return -1;
		unit = unit << 4 | digit;
	}
	return unit;
}

/* UTF-8 of a code point below 0x10000: halves of pairs are kept as they are, for names of
 * containers have neither. */
static void put_unit(struct ml_strbuf *text, int unit)
{
	if (unit < 0x80) {
		ml_strbuf_putc(text, (char)unit);
		return;
	}
	if (unit >= 0x800) {
		ml_strbuf_putc(text, (char)(0xe0 | unit >> 12));
		ml_strbuf_putc(text, (char)(0x80 | (unit >> 6 & 63)));
	} else {
		ml_strbuf_putc(text, (char)(0xc0 | unit >> 6));
	}
	ml_strbuf_putc(text, (char)(0x80 | (unit & 63)));
}

/* What follows a backslash; false when that is nothing JSON knows. A NUL would end the text. */
static bool read_escape(struct ml_json_reader *reader)
{
	static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
	char letter = *reader->at;
	const char *known = letter ? strchr(letters, letter) : NULL;
	int unit;

	if (known) {
		ml_strbuf_putc(&reader->text, meanings[known - letters]);
		reader->at++;
		return true;
	}
	unit = letter == 'u' ? read_unit(reader->at + 1) : -1;
	if (unit <= 0)
		return false;
	put_unit(&reader->text, unit);
	reader->at += 5;
	return true;
}

/* The string whose first quote is behind us. */
static bool read_string(struct ml_json_reader *reader)
{
	ml_strbuf_clear(&reader->text);
	for (;;) {
		size_t plain = strcspn(reader->at, "\"\\");

		ml_strbuf_add(&reader->text, reader->at, plain);
		reader->at += plain;
		if (!*reader->at)
			return false;
		if (*reader->at++ == '"')
			return true;
		if (!read_escape(reader))
			return false;
	}
}

static enum ml_json_token end(struct ml_json_reader *reader)
{
	reader->at = "";
	return ML_JSON_END;
}

enum ml_json_token ml_json_next(struct ml_json_reader *reader)
{
	reader->at += strspn(reader->at, BLANKS ",");
	switch (*reader->at) {
	case '\0':
		return ML_JSON_END;
	case '{':
	case '[':
		reader->at++;
		reader->depth++;
		return ML_JSON_OPEN;
	case '}':
	case ']':
		if (reader->depth == 0)
			return end(reader);
		reader->at++;
		reader->depth--;
		return ML_JSON_CLOSE;
	case '"':
		reader->at++;
		if (!read_string(reader))
			return end(reader);
		reader->at += strspn(reader->at, BLANKS);
		if (*reader->at != ':')
			return ML_JSON_STRING;
		reader->at++;
		return ML_JSON_KEY;
	}

	size_t length = strcspn(reader->at, BLANKS ",:{}[]\"");

	if (length == 0)
		return end(reader);
	reader->at += length;
	return ML_JSON_OTHER;
}

void ml_json_reader_deinit(struct ml_json_reader *reader)
{
	ml_strbuf_free(&reader->text);
}

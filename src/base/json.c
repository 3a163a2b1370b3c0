/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/json.h"

#include "base/utf8.h"

#include <math.h>
#include <string.h>

/** One character at @p p; gives the bytes taken. */
static size_t put_character(FILE *out, const unsigned char *p)
{
	size_t length = ml_utf8_length((const char *)p);

	if (length == 0) {
		fputs("\xef\xbf\xbd", out);
		return 1;
	}
	if (*p == '"' || *p == '\\')
		fprintf(out, "\\%c", *p);
	else if (*p == '\n')
		fputs("\\n", out);
	else if (*p == '\t')
		fputs("\\t", out);
	else if (*p < 0x20 || *p == 0x7f)
		fprintf(out, "\\u%04x", *p);
	else if (p[0] == 0xc2 && p[1] < 0xa0) /* C1: terminals obey them in UTF-8 too */
		fprintf(out, "\\u%04x", p[1]);
	else
		fwrite(p, 1, length, out);
	return length;
}

/* Streams are one thread's: the lock of each putc() would be most of the time of a big report. */
static void put_byte(FILE *out, char c)
{
	putc_unlocked(c, out);
}

static void put_bytes(FILE *out, const char *bytes, size_t length)
{
	fwrite_unlocked(bytes, 1, length, out);
}

/** Bytes at the front of @p text that stand for themselves. */
static size_t unescaped(const char *text)
{
	size_t length = 0;

	while (text[length] >= 0x20 && text[length] < 0x7f && text[length] != '"' &&
	       text[length] != '\\')
		length++;
	return length;
}

static void put_string(FILE *out, const char *text)
{
	put_byte(out, '"');
	for (;;) {
		size_t length = unescaped(text);

		put_bytes(out, text, length);
		text += length;
		if (!*text)
			break;
		text += put_character(out, (const unsigned char *)text);
	}
	put_byte(out, '"');
}

/** @p value in @p base, at most 16. */
static void put_number(FILE *out, uint64_t value, unsigned int base)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	put_bytes(out, digits + at, sizeof(digits) - at);
}

/** What stands before every value: the comma and the name. */
static void begin_value(struct ml_json *json, const char *key)
{
	if (json->needs_comma)
		put_byte(json->out, ',');
	json->needs_comma = true;
	if (key) {
		put_string(json->out, key);
		put_byte(json->out, ':');
	}
}

static void open_scope(struct ml_json *json, const char *key, char bracket)
{
	begin_value(json, key);
	put_byte(json->out, bracket);
	json->needs_comma = false;
}

static void close_scope(struct ml_json *json, char bracket)
{
	put_byte(json->out, bracket);
	json->needs_comma = true;
}

void ml_json_object_begin(struct ml_json *json, const char *key)
{
	open_scope(json, key, '{');
}

void ml_json_object_end(struct ml_json *json)
{
	close_scope(json, '}');
}

void ml_json_array_begin(struct ml_json *json, const char *key)
{
	open_scope(json, key, '[');
}

void ml_json_array_end(struct ml_json *json)
{
	close_scope(json, ']');
}

void ml_json_string(struct ml_json *json, const char *key, const char *value)
{
	if (!value) {
		ml_json_null(json, key);
		return;
	}
	begin_value(json, key);
	put_string(json->out, value);
}

void ml_json_u64(struct ml_json *json, const char *key, uint64_t value)
{
	begin_value(json, key);
	put_number(json->out, value, 10);
}

void ml_json_i64(struct ml_json *json, const char *key, int64_t value)
{
	begin_value(json, key);
	if (value < 0)
		put_byte(json->out, '-');
	/* Negated as unsigned: INT64_MIN has no positive counterpart. */
	put_number(json->out, value < 0 ? 0 - (uint64_t)value : (uint64_t)value, 10);
}

void ml_json_double(struct ml_json *json, const char *key, double value)
{
	char text[40];

	if (!isfinite(value)) {
		ml_json_null(json, key);
		return;
	}
	snprintf(text, sizeof(text), "%.10g", value);

	char *comma = strchr(text, ','); /* a locale's decimal sign */

	if (comma)
		*comma = '.';
	begin_value(json, key);
	fputs(text, json->out);
}

void ml_json_bool(struct ml_json *json, const char *key, bool value)
{
	begin_value(json, key);
	fputs(value ? "true" : "false", json->out);
}

void ml_json_null(struct ml_json *json, const char *key)
{
	begin_value(json, key);
	fputs("null", json->out);
}

void ml_json_hex(struct ml_json *json, const char *key, uint64_t value)
{
	begin_value(json, key);
	fputs("\"0x", json->out);
	put_number(json->out, value, 16);
	put_byte(json->out, '"');
}

void ml_json_raw(struct ml_json *json, const char *key, const char *value, size_t length)
{
	begin_value(json, key);
	put_bytes(json->out, value, length);
}

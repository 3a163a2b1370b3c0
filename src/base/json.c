/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/json.h"

#include "base/utf8.h"

#include <inttypes.h>
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

static void put_string(FILE *out, const char *text)
{
	const unsigned char *p = (const unsigned char *)text;

	putc('"', out);
	while (*p)
		p += put_character(out, p);
	putc('"', out);
}

/** What stands before every value: the comma and the name. */
static void begin_value(struct ml_json *json, const char *key)
{
	if (json->needs_comma)
		putc(',', json->out);
	json->needs_comma = true;
	if (key) {
		put_string(json->out, key);
		putc(':', json->out);
	}
}

static void open_scope(struct ml_json *json, const char *key, char bracket)
{
	begin_value(json, key);
	putc(bracket, json->out);
	json->needs_comma = false;
}

static void close_scope(struct ml_json *json, char bracket)
{
	putc(bracket, json->out);
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
	fprintf(json->out, "%" PRIu64, value);
}

void ml_json_i64(struct ml_json *json, const char *key, int64_t value)
{
	begin_value(json, key);
	fprintf(json->out, "%" PRId64, value);
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
	fprintf(json->out, "\"0x%" PRIx64 "\"", value);
}

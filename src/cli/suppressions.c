/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/suppressions.h"

#include "base/file.h"
#include "base/strbuf.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define FILE_LIMIT (1024 * 1024)

/* LSan's pattern with '^' and '$' turned into a pattern that must match as a whole. */
static char *whole_pattern(const char *pattern, size_t length)
{
	struct ml_strbuf whole = {0};
	bool from_start = length && pattern[0] == '^';
	bool to_end = length > from_start && pattern[length - 1] == '$';

	if (!from_start)
		ml_strbuf_putc(&whole, '*');
	ml_strbuf_add(&whole, pattern + from_start, length - from_start - to_end);
	if (!to_end)
		ml_strbuf_putc(&whole, '*');
	return ml_strbuf_take(&whole);
}

/* '*' matches anything; linear in the text for each star (no recursion: patterns of users on names
 * of targets). */
static bool matches(const char *pattern, const char *text)
{
	const char *star = NULL, *retry = NULL;

	while (*text) {
		if (*pattern == '*') {
			star = pattern++;
			retry = text;
		} else if (*pattern == *text) {
			pattern++;
			text++;
		} else if (star) {
			pattern = star + 1;
			text = ++retry;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return !*pattern;
}

static struct ml_error *parse_line(const char *line, size_t length,
				   struct ml_suppressions *suppressions)
{
	static const char kind[] = "leak:";
	size_t skip = sizeof(kind) - 1;

	while (length && strchr(" \t\r", line[length - 1]))
		length--;
	for (; length && strchr(" \t", *line); line++)
		length--;
	if (!length || *line == '#')
		return NULL;
	if (length < skip || memcmp(line, kind, skip))
		return ml_error_new(ML_ERROR_USAGE, "'%.*s' is not leak:PATTERN", (int)length,
				    line);
	if (length == skip)
		return ml_error_new(ML_ERROR_USAGE, "leak: without a pattern");
	*ml_array_push(&suppressions->patterns) = whole_pattern(line + skip, length - skip);
	return NULL;
}

struct ml_error *ml_suppressions_parse(const char *text, const char *name,
				       struct ml_suppressions *out)
{
	struct ml_suppressions suppressions = {0};
	struct ml_error *error = NULL;

	for (unsigned int number = 1; !error && *text; number++) {
		size_t length = strcspn(text, "\n");

		error = parse_line(text, length, &suppressions);
		if (error)
			error = ml_error_wrap(error, "%s:%u", name, number);
		text += length + (text[length] == '\n');
	}
	if (error)
		ml_suppressions_deinit(&suppressions);
	else
		*out = suppressions;
	return error;
}

struct ml_error *ml_suppressions_read(const char *path, struct ml_suppressions *out)
{
	ML_FREE_CLEANUP char *text = NULL;
	struct ml_error *error = ml_file_read(AT_FDCWD, path, FILE_LIMIT, &text, NULL);

	if (error)
		return ml_error_wrap(error, "--suppressions");
	return ml_suppressions_parse(text, path, out);
}

void ml_suppressions_deinit(struct ml_suppressions *suppressions)
{
	ml_array_each (it, &suppressions->patterns)
		free(*it);
	ml_array_free(&suppressions->patterns);
}

static bool site_matches(const void *context, const struct ml_report_site *site)
{
	const struct ml_suppressions *suppressions = context;

	ml_array_each (frame, &site->frames) {
		const char *const names[] = {frame->symbol, frame->file, frame->module};

		for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
			ml_array_each (pattern, &suppressions->patterns) {
				if (names[i] && matches(*pattern, names[i]))
					return true;
			}
		}
	}
	return false;
}

struct ml_report_others ml_suppressions_apply(const struct ml_suppressions *suppressions,
					      struct ml_report *report)
{
	return ml_report_leave_out(report, site_matches, suppressions);
}

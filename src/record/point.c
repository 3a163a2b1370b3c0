/* SPDX-License-Identifier: BSD-2-Clause */
#include "record/point.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SECONDS_PER_DAY 86400.0

static struct ml_error *refuse(const char *text)
{
	return ml_error_new(ML_ERROR_USAGE,
			    "'%s' is not a moment: start, end, mark, the number of a mark, "
			    "+SECONDS, HH:MM:SS or 2026-01-23T03:00:41",
			    text);
}

/* A number of nothing but digits and a point; *@end gets what follows. */
static bool parse_decimal(const char *text, double *out, const char **end)
{
	size_t length = strspn(text, "0123456789.");
	char *stop;

	if (!length || *text == '.' || length > 20)
		return false;
	*out = strtod(text, &stop);
	*end = stop;
	return stop == text + length;
}

/* "HH:MM[:SS[.FRACTION]]" at @text; @width gets how much of time that is. */
static bool parse_clock(const char *text, double *seconds, double *width, const char **end)
{
	double hours, minutes, rest = 0;

	if (!parse_decimal(text, &hours, end) || **end != ':' || hours >= 24 ||
	    hours != floor(hours))
		return false;
	if (!parse_decimal(*end + 1, &minutes, end) || minutes >= 60 || minutes != floor(minutes))
		return false;
	*width = 60;
	if (**end == ':') {
		if (!parse_decimal(*end + 1, &rest, end) || rest >= 61)
			return false;
		*width = rest == floor(rest) ? 1 : 0;
	}
	*seconds = 3600 * hours + 60 * minutes + rest;
	return true;
}

/* "Z" or "+HH:MM" behind a time. */
static bool parse_zone(const char *text, double *offset_s)
{
	double hours, minutes;
	const char *end;

	*offset_s = 0;
	if (!strcmp(text, "Z") || !strcmp(text, "z"))
		return true;
	if (*text != '+' && *text != '-')
		return false;
	if (!parse_decimal(text + 1, &hours, &end) || *end != ':' ||
	    !parse_decimal(end + 1, &minutes, &end) || *end || hours >= 24 || minutes >= 60)
		return false;
	*offset_s = (*text == '-' ? -1 : 1) * (3600 * hours + 60 * minutes);
	return true;
}

static bool parse_date_time(const char *text, struct ml_point *point)
{
	struct tm day = {0};
	const char *end = strptime(text, "%Y-%m-%d", &day);
	double clock_s, offset_s = 0;

	if (!end || (*end != 'T' && *end != 't' && *end != ' ') ||
	    !parse_clock(end + 1, &clock_s, &point->width_s, &end))
		return false;
	point->is_local = !*end;
	if (*end && !parse_zone(end, &offset_s))
		return false;
	point->kind = ML_POINT_TIME;
	point->time_s = (double)timegm(&day) + clock_s - offset_s;
	return true;
}

static bool parse_word(const char *text, struct ml_point *point)
{
	static const struct {
		const char *word;
		enum ml_point_kind kind;
	} words[] = {
		{"end", ML_POINT_END},
		{"start", ML_POINT_START},
		{"mark", ML_POINT_LAST_MARK},
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (!strcmp(text, words[i].word)) {
			point->kind = words[i].kind;
			return true;
		}
	}
	return false;
}

struct ml_error *ml_point_parse(const char *text, struct ml_point *out)
{
	struct ml_point point = {0};
	const char *end = text;
	double number;

	if (parse_word(text, &point) || parse_date_time(text, &point)) {
		*out = point;
		return NULL;
	}
	if (*text == '+' && parse_decimal(text + 1, &number, &end) && !*end) {
		point.kind = ML_POINT_ELAPSED;
		point.elapsed_s = number;
	} else if (parse_clock(text, &number, &point.width_s, &end) && !*end) {
		point.kind = ML_POINT_CLOCK;
		point.clock_s = number;
	} else if (strspn(text, "0123456789") == strlen(text) &&
		   parse_decimal(text, &number, &end) && number >= 1) {
		point.kind = ML_POINT_MARK;
		point.mark = strtoull(text, NULL, 10);
	} else {
		return refuse(text);
	}
	*out = point;
	return NULL;
}

double ml_point_time_s(const struct ml_point *point, const struct ml_point_moment *first)
{
	double local_s, midnight_s, time_s;

	if (point->kind == ML_POINT_TIME)
		return point->time_s - (point->is_local ? first->utc_offset_s : 0);
	local_s = (double)first->time.tv_sec + first->utc_offset_s;
	midnight_s = floor(local_s / SECONDS_PER_DAY) * SECONDS_PER_DAY;
	time_s = midnight_s + point->clock_s - first->utc_offset_s;
	/* The clock comes to it only on the next day. */
	if (time_s + point->width_s <= (double)first->time.tv_sec)
		time_s += SECONDS_PER_DAY;
	return time_s;
}

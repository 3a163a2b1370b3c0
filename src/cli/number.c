/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/number.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdbool.h>

#define SECONDS_A_YEAR (365 * 24 * 3600ULL)

/* Reads the digits at *text; false when they do not fit in 64 bits. */
static bool read_digits(const char **text, uint64_t *out)
{
	uint64_t value = 0;
	bool fits = true;

	for (; **text >= '0' && **text <= '9'; ++*text) {
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(**text - '0'), &value))
			fits = false;
	}
	*out = value;
	return fits;
}

struct ml_error *ml_number_parse(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
	const char *end = text;
	uint64_t value;
	bool fits = read_digits(&end, &value);

	if (end == text || *end)
		return ml_error_new(ML_ERROR_USAGE, "'%s' is not a whole number", text);
	if (fits && value >= min && value <= max) {
		*out = value;
		return NULL;
	}
	if (max != UINT64_MAX)
		return ml_error_new(ML_ERROR_USAGE, "'%s' is not between %" PRIu64 " and %" PRIu64,
				    text, min, max);
	if (!fits)
		return ml_error_new(ML_ERROR_USAGE, "'%s' is too large", text);
	return ml_error_new(ML_ERROR_USAGE, "'%s' is less than %" PRIu64, text, min);
}

/* Reads the digits behind a decimal point as nanoseconds; those behind the ninth are dropped. */
static uint64_t read_fraction(const char **text)
{
	uint64_t value_ns = 0;

	for (uint64_t unit = ML_NS_PER_SECOND / 10; **text >= '0' && **text <= '9'; ++*text) {
		value_ns += unit * (uint64_t)(**text - '0');
		unit /= 10;
	}
	return value_ns;
}

struct ml_error *ml_number_seconds(const char *text, uint64_t *out_ns)
{
	const char *end = text;
	uint64_t seconds, fraction_ns = 0;
	bool fits = read_digits(&end, &seconds);
	bool has_digits = end != text;

	if (*end == '.') {
		const char *point = end++;

		fraction_ns = read_fraction(&end);
		has_digits = has_digits || end > point + 1;
	}
	if (!has_digits || *end)
		return ml_error_new(ML_ERROR_USAGE, "'%s' is not a number of seconds", text);
	if (!fits || seconds > SECONDS_A_YEAR ||
	    seconds * ML_NS_PER_SECOND + fraction_ns < ML_NS_PER_MS)
		return ml_error_new(ML_ERROR_USAGE, "'%s' is not between 0.001 and %llu seconds",
				    text, SECONDS_A_YEAR);
	*out_ns = seconds * ML_NS_PER_SECOND + fraction_ns;
	return NULL;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/human.h"

#include <inttypes.h>
#include <stdio.h>

const char *ml_human_bytes(double bytes, char text[ML_HUMAN_TEXT])
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double size = bytes < 0 ? -bytes : bytes;
	const char *sign = bytes < 0 ? "-" : "";
	size_t unit = 0;

	if (size < 1023.5) {
		snprintf(text, ML_HUMAN_TEXT, "%s%.0f B", sign, size);
		return text;
	}
	/* 1023.95 would be rounded to 1024.0 of the smaller unit. */
	for (size /= 1024; size >= 1023.95 && unit + 1 < sizeof(units) / sizeof(units[0]); unit++)
		size /= 1024;
	snprintf(text, ML_HUMAN_TEXT, "%s%.1f %s", sign, size, units[unit]);
	return text;
}

const char *ml_human_duration(uint64_t seconds, char text[ML_HUMAN_TEXT])
{
	uint64_t days = seconds / 86400;
	unsigned int rest = (unsigned int)(seconds % 86400);
	int length = days ? snprintf(text, ML_HUMAN_TEXT, "%" PRIu64 "d ", days) : 0;

	snprintf(text + length, ML_HUMAN_TEXT - (size_t)length, "%02u:%02u:%02u", rest / 3600,
		 rest / 60 % 60, rest % 60);
	return text;
}

const char *ml_human_rate(double bytes_per_s, char text[ML_HUMAN_TEXT])
{
	static const struct {
		const char *name;
		double seconds;
	} units[] = {{"s", 1}, {"min", 60}, {"h", 3600}, {"day", 86400}};
	char size[ML_HUMAN_TEXT];
	size_t unit = 0;

	while (unit < 3 && bytes_per_s * units[unit].seconds < 1)
		unit++;
	ml_human_bytes(bytes_per_s * units[unit].seconds, size);
	snprintf(text, ML_HUMAN_TEXT, "%.24s/%s", size, units[unit].name);
	return text;
}

const char *ml_human_time(double seconds, char text[ML_HUMAN_TEXT])
{
	if (seconds < 10)
		snprintf(text, ML_HUMAN_TEXT, "%.1f s", seconds);
	else if (seconds < 180)
		snprintf(text, ML_HUMAN_TEXT, "%.0f s", seconds);
	else if (seconds < 3 * 3600)
		snprintf(text, ML_HUMAN_TEXT, "%.0f min", seconds / 60);
	else if (seconds < 72 * 3600)
		snprintf(text, ML_HUMAN_TEXT, "%.1f h", seconds / 3600);
	else
		snprintf(text, ML_HUMAN_TEXT, "%.1f days", seconds / 86400);
	return text;
}

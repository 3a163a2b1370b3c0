/* SPDX-License-Identifier: BSD-2-Clause */
#include "live/sparkline.h"

#define LEVELS 8

static uint64_t highest(const struct ml_timeline_point *points, size_t count)
{
	uint64_t high = 0;

	for (size_t i = 0; i < count; i++)
		high = points[i].live_bytes > high ? points[i].live_bytes : high;
	return high;
}

/* 1 … LEVELS, 0 for nothing. */
static unsigned int level(uint64_t bytes, uint64_t high)
{
	unsigned int level = high ? (unsigned int)((double)bytes / (double)high * LEVELS) : 0;

	if (level > LEVELS)
		level = LEVELS;
	return bytes && !level ? 1 : level;
}

void ml_sparkline(const struct ml_timeline_point *points, size_t count, uint64_t from_ns,
		  uint64_t to_ns, unsigned int columns, bool wide, struct ml_strbuf *out)
{
	static const char *const blocks[LEVELS + 1] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
	static const char *const ascii[LEVELS + 1] = {" ", "_", ".", ":", "-", "=", "+", "*", "#"};
	uint64_t high = highest(points, count);
	double step_ns = to_ns > from_ns ? (double)(to_ns - from_ns) / columns : 0;
	size_t next = 0;

	for (unsigned int i = 0; i < columns; i++) {
		/* The last column ends now, whatever the rounding says. */
		uint64_t end_ns =
			i + 1 == columns ? to_ns : from_ns + (uint64_t)(step_ns * (i + 1));

		while (next < count && points[next].time_ns <= end_ns)
			next++;
		ml_strbuf_puts(out,
			       (wide ? blocks
				     : ascii)[level(next ? points[next - 1].live_bytes : 0, high)]);
	}
}

/* SPDX-License-Identifier: BSD-2-Clause */
/** Leaks in two steps: leak_first() on the first line of its input, leak_second() on the second. */
#include "truth.h"

#define FIRST_COUNT  23
#define FIRST_BYTES  101
#define SECOND_COUNT 7
#define SECOND_BYTES 1009

static NOINLINE int leak_first(void)
{
	for (int i = 0; i < FIRST_COUNT; i++)
		truth_keep(malloc(FIRST_BYTES));
	return __LINE__ - 1;
}

static NOINLINE int leak_second(void)
{
	for (int i = 0; i < SECOND_COUNT; i++)
		truth_keep(malloc(SECOND_BYTES));
	return __LINE__ - 1;
}

int main(void)
{
	int line;

	truth_ready();
	line = leak_first();
	truth_site("leak_first", line, FIRST_COUNT * FIRST_BYTES, FIRST_COUNT);
	truth_event("first");
	truth_wait();
	line = leak_second();
	truth_site("leak_second", line, SECOND_COUNT * SECOND_BYTES, SECOND_COUNT);
	truth_done();
	return 0;
}

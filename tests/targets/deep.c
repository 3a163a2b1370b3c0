/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Leaks below N recursive calls (first argument), and on the way through what makes unwinding hard:
 * a big frame, a huge one, a variable-length one, a callback from the C library.
 */
#include "truth.h"

#include <alloca.h>

static NOINLINE void leak_at_depth(void)
{
	truth_keep(malloc(truth_opaque(101)));
}

static NOINLINE size_t descend(size_t depth)
{
	if (depth == 0) {
		leak_at_depth();
		return 0;
	}
	return truth_opaque(descend(depth - 1)) + 1;
}

static NOINLINE void leak_in_callback(void)
{
	truth_keep(malloc(truth_opaque(211)));
}

static int compare(const void *a, const void *b)
{
	static int once;

	if (!once++)
		leak_in_callback();
	return *(const int *)a - *(const int *)b;
}

static NOINLINE void leak_below_big_frame(void)
{
	truth_keep(malloc(truth_opaque(307)));
}

static NOINLINE void big_frame(void)
{
	char buffer[100 * 1024];

	truth_keep(buffer);
	leak_below_big_frame();
	truth_keep(buffer);
}

static NOINLINE void leak_below_huge_frame(void)
{
	truth_keep(malloc(truth_opaque(353)));
}

/* More than a plain row tells, and registers of the caller's to find again below it. */
static NOINLINE size_t huge_frame(size_t number)
{
	char buffer[3 << 20];
	size_t a = truth_opaque(number), b = truth_opaque(a), c = truth_opaque(b);

	truth_keep(buffer);
	leak_below_huge_frame();
	truth_keep(buffer);
	return a + b + c;
}

static NOINLINE void leak_below_alloca(void)
{
	truth_keep(malloc(truth_opaque(401)));
}

static NOINLINE void variable_frame(size_t bytes)
{
	char *buffer = truth_keep(alloca(bytes));

	leak_below_alloca();
	truth_keep(buffer);
}

int main(int argc, char **argv)
{
	int numbers[] = {3, 1, 2};

	truth_ready();
	descend(truth_argument(argc, argv, 1, 20));
	truth_site("leak_at_depth", 0, 101, 1);
	qsort(numbers, 3, sizeof(numbers[0]), compare);
	truth_site("leak_in_callback", 0, 211, 1);
	big_frame();
	truth_site("leak_below_big_frame", 0, 307, 1);
	truth_opaque(huge_frame(3));
	truth_site("leak_below_huge_frame", 0, 353, 1);
	variable_frame(truth_opaque(1234));
	truth_site("leak_below_alloca", 0, 401, 1);
	truth_done();
	return 0;
}

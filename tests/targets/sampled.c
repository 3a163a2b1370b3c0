/* SPDX-License-Identifier: BSD-2-Clause */
/** Many blocks of sizes far apart, of which half are freed, for sampling by bytes. */
#include "truth.h"

#define SMALL 160000
#define LARGE 2000

static void *small[SMALL], *large[LARGE];

static NOINLINE void *leak_small(void)
{
	return truth_keep(malloc(truth_opaque(100)));
}

static NOINLINE void *leak_large(void)
{
	return truth_keep(calloc(1, truth_opaque(10000)));
}

int main(void)
{
	truth_ready();
	for (int i = 0; i < SMALL; i++)
		small[i] = leak_small();
	for (int i = 0; i < LARGE; i++)
		large[i] = leak_large();
	for (int i = 0; i < SMALL; i += 2)
		free(small[i]);
	for (int i = 0; i < LARGE; i += 2)
		large[i] = realloc(large[i], 0);
	truth_site("leak_small", 0, SMALL / 2 * 100, SMALL / 2);
	truth_site("leak_large", 0, LARGE / 2 * 10000, LARGE / 2);
	truth_value("allocs", SMALL + LARGE);
	truth_done();
	return 0;
}

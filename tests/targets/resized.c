/* SPDX-License-Identifier: BSD-2-Clause */
/** Blocks that are grown, zeroed and given to other sizes, half of which are freed: for sampling by
 * bytes. How an allocator does it, by calls of its own functions or not, must not show. */
#include "truth.h"

#define BLOCKS 4000
#define BYTES  4000

static void *grown[BLOCKS], *zeroed[BLOCKS], *anew[BLOCKS];

static NOINLINE void *leak_grown(void *block)
{
	return truth_keep(realloc(block, truth_opaque(BYTES)));
}

static NOINLINE void *leak_zeroed(void)
{
	return truth_keep(calloc(truth_opaque(BYTES) / 8, 8));
}

static NOINLINE void *leak_anew(void)
{
	return truth_keep(realloc(truth_keep(NULL), truth_opaque(BYTES)));
}

int main(void)
{
	truth_ready();
	for (int i = 0; i < BLOCKS; i++)
		grown[i] = truth_keep(malloc(truth_opaque(40)));
	for (int i = 0; i < BLOCKS; i++) {
		grown[i] = leak_grown(grown[i]);
		zeroed[i] = leak_zeroed();
		anew[i] = leak_anew();
	}
	for (int i = 0; i < BLOCKS; i += 2) {
		free(grown[i]);
		free(zeroed[i]);
		free(anew[i]);
	}
	truth_site("leak_grown", 0, BLOCKS / 2 * BYTES, BLOCKS / 2);
	truth_site("leak_zeroed", 0, BLOCKS / 2 * BYTES, BLOCKS / 2);
	truth_site("leak_anew", 0, BLOCKS / 2 * BYTES, BLOCKS / 2);
	truth_done();
	return 0;
}

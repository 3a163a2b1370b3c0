/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Works for ever: each round (1 ms) allocates, frees, leaks 23 bytes now and then, computes a
 * checksum, and prints it every hundredth round. Its output must be the same traced or not.
 */
#include "truth.h"

#include <stdint.h>

static uint64_t checksum = 1469598103934665603u;

static NOINLINE void leak_now_and_then(void)
{
	truth_keep(malloc(truth_opaque(23)));
}

static NOINLINE void work(size_t round)
{
	unsigned char *block = truth_keep(malloc(truth_opaque(round % 499 + 1)));

	memset(block, (int)round, round % 499 + 1);
	for (size_t i = 0; i < round % 499 + 1; i++)
		checksum = (checksum ^ block[i]) * 1099511628211u;
	block = truth_keep(realloc(block, 1000));
	free(block);
}

int main(void)
{
	truth_event("ready");
	for (size_t round = 1;; round++) {
		work(round);
		if (round % 10 == 0)
			leak_now_and_then();
		if (round % 100 == 0)
			truth_print("{\"round\":%zu,\"checksum\":\"%016llx\"}\n", round,
				    (unsigned long long)checksum);
		usleep(1000);
	}
}

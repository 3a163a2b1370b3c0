/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * What hashes begin with: another number in each process, so that nobody who makes the keys can
 * choose them so that they all meet in one place.
 */
#ifndef ML_BASE_HASH_SEED_H
#define ML_BASE_HASH_SEED_H

#include <stdint.h>
#include <string.h>
#include <sys/auxv.h>

static inline uint64_t ml_hash_seed(void)
{
	static uint64_t seed;

	if (!seed) {
		/* 16 random bytes from the kernel, see getauxval(3). */
		const void *random = (const void *)getauxval(AT_RANDOM);

		if (random)
			memcpy(&seed, random, sizeof(seed));
		seed |= 1;
	}
	return seed;
}

#endif

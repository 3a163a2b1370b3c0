/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * How hashes go on, and what they begin with where others choose the keys: another number in each
 * process, so that nobody who makes the keys can choose them so that they all meet in one place.
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

/** One more word of a hash (FNV-1a, by words). */
static inline uint64_t ml_hash_word(uint64_t hash, uint64_t word)
{
	return (hash ^ word) * 0x100000001b3ull;
}

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * What a block kept by the agent's --sample-bytes stands for. The agent and the tool compute it
 * from the block's size alone, so the books need not keep it.
 *
 * Sampling points are a Poisson process with a mean distance of `mean` bytes, so a block of `size`
 * bytes holds at least one with p = 1 - e^(-size/mean). Kept with that, it stands for 1/p blocks.
 */
#ifndef ML_SHARED_SAMPLE_WEIGHT_H
#define ML_SHARED_SAMPLE_WEIGHT_H

#include "shared/types.h"

/** Blocks of at least so many means are kept always and stand for themselves. */
#define ML_ALWAYS_SAMPLED 4u

/** Counts of blocks are in units of 2^-16. */
#define ML_SAMPLE_COUNT_SHIFT 16

/* size / p = mean * (y + y coth y) with y = size / mean / 2, times 2^24. coth by Lambert's
 * continued fraction: for y <= 2 these terms leave an error below 10^-6. */
static inline uint64_t ml_sample_bytes_per_mean_q24(uint64_t size, uint64_t mean)
{
	uint64_t y = mean >> 32 ? ((size >> 10) << 23) / (mean >> 10) : (size << 23) / mean;
	uint64_t y2 = y * y >> 24, fraction = 15ull << 24;

	for (uint64_t odd = 13; odd <= 13; odd -= 2)
		fraction = (odd << 24) + (y2 << 24) / fraction;
	return y + fraction;
}

/** Bytes that a kept block of @p size bytes stands for. */
static inline uint64_t ml_sample_bytes(uint64_t size, uint64_t mean)
{
	if (!size || size >= ML_ALWAYS_SAMPLED * mean)
		return size;
	return (uint64_t)(((unsigned __int128)mean * ml_sample_bytes_per_mean_q24(size, mean)) >>
			  24);
}

/** Blocks that it stands for, in units of 2^-16. An empty block counts as one of a byte. */
static inline uint64_t ml_sample_count(uint64_t size, uint64_t mean)
{
	if (size >= ML_ALWAYS_SAMPLED * mean)
		return 1ull << ML_SAMPLE_COUNT_SHIFT;
	size += !size;
	return (ml_sample_bytes(size, mean) << ML_SAMPLE_COUNT_SHIFT) / size;
}

#endif

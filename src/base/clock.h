/* SPDX-License-Identifier: BSD-2-Clause */
/** The two clocks: monotonic for ages and intervals, real for what a person reads. */
#ifndef ML_BASE_CLOCK_H
#define ML_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define ML_NS_PER_SECOND 1000000000ULL
#define ML_NS_PER_MS     1000000ULL

/** Nanoseconds of @p clock. */
static inline uint64_t ml_clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * ML_NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

/** CLOCK_MONOTONIC: what bpf_ktime_get_ns() counts. */
static inline uint64_t ml_monotonic_ns(void)
{
	return ml_clock_ns(CLOCK_MONOTONIC);
}

#endif

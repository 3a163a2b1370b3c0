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

/** Seconds from one time of CLOCK_MONOTONIC to a later one; 0 when it is not later. */
static inline double ml_seconds_between(uint64_t from_ns, uint64_t to_ns)
{
	return to_ns > from_ns ? (double)(to_ns - from_ns) / (double)ML_NS_PER_SECOND : 0;
}

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/** The history of every site across snapshots, in bounded memory. */
#ifndef ML_MODEL_TIMELINE_H
#define ML_MODEL_TIMELINE_H

#include "model/snapshot.h"

#include <stddef.h>
#include <stdint.h>

/** Points kept per site; when full, every other one of the older half goes. */
#define ML_TIMELINE_POINTS 64

struct ml_timeline_point {
	uint64_t time_ns;
	uint64_t live_bytes;
	uint64_t live_count;
	uint64_t allocs;
	uint64_t frees;
};

struct ml_timeline;

/** @p start_ns: CLOCK_MONOTONIC when tracing began. */
struct ml_timeline *ml_timeline_create(uint64_t start_ns);
void ml_timeline_destroy(struct ml_timeline *timeline);

/** Adds a snapshot: one point for each of its sites. */
void ml_timeline_add(struct ml_timeline *timeline, const struct ml_snapshot *snapshot);

/** The points of site @p stack, oldest first; 0 when it is not known. Borrowed. */
size_t ml_timeline_points(const struct ml_timeline *timeline, uint64_t stack,
			  const struct ml_timeline_point **points);

/** Birth of the oldest block alive at the newest point, 0 when unknown. */
uint64_t ml_timeline_oldest(const struct ml_timeline *timeline, uint64_t stack);

uint64_t ml_timeline_start(const struct ml_timeline *timeline);

#endif

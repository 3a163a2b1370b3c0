/* SPDX-License-Identifier: BSD-2-Clause */
/** The history of every site across snapshots, in bounded memory. */
#ifndef ML_MODEL_TIMELINE_H
#define ML_MODEL_TIMELINE_H

#include "model/snapshot.h"

#include <stddef.h>
#include <stdint.h>

/**
 * Points kept per site. When full, the point of the older half that stands closest to its
 * neighbours goes: the newest half stays dense, the older one spreads over the whole time, and the
 * first point stays.
 */
#define ML_TIMELINE_POINTS 64

/**
 * Sites kept (about 50 MB when every one is full). When full, those with nothing alive go; a new
 * site that still finds no room has no history.
 */
#define ML_TIMELINE_SITES 20000

struct ml_timeline_point {
	uint64_t time_ns;
	uint64_t live_bytes;
	uint64_t live_count;
	uint64_t allocs; /**< since tracing began, like frees */
	uint64_t frees;
};

struct ml_timeline;

/** @p start_ns: CLOCK_MONOTONIC when tracing began. */
struct ml_timeline *ml_timeline_create(uint64_t start_ns);
void ml_timeline_destroy(struct ml_timeline *timeline);

/**
 * Adds a snapshot: one point for each of its sites, one for the sum of all and one for the resident
 * memory where it is known. A site that was not
 * in the snapshot before this one gets a point of zeros at that one's time, since it had nothing
 * then. A snapshot no newer than the last one replaces the last one's points.
 */
void ml_timeline_add(struct ml_timeline *timeline, const struct ml_snapshot *snapshot);

/** The points of site @p stack, oldest first; 0 when it is not known. Borrowed until the next add.
 */
size_t ml_timeline_points(const struct ml_timeline *timeline, uint64_t stack,
			  const struct ml_timeline_point **points);

/** The same for the sum of all sites. */
size_t ml_timeline_totals(const struct ml_timeline *timeline,
			  const struct ml_timeline_point **points);

/** The same for the resident memory of the targets: only time_ns and live_bytes are set. */
size_t ml_timeline_resident(const struct ml_timeline *timeline,
			    const struct ml_timeline_point **points);

/** Birth of the oldest block alive at the newest point, 0 when unknown. */
uint64_t ml_timeline_oldest(const struct ml_timeline *timeline, uint64_t stack);

uint64_t ml_timeline_start(const struct ml_timeline *timeline);

#endif

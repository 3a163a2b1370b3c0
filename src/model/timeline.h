/* SPDX-License-Identifier: BSD-2-Clause */
/** The history of every site across snapshots, in bounded memory. */
#ifndef ML_MODEL_TIMELINE_H
#define ML_MODEL_TIMELINE_H

#include "model/residue.h"
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

/** Ages at death are counted in octaves: bin 0 up to ML_AGE_BASE_S, each next up to twice as much.
 */
#define ML_AGE_BINS   24
#define ML_AGE_BASE_S 0.5

/** What became of a site's blocks, by cohort and by age. Deaths within one interval are not in it.
 */
struct ml_cohort_history {
	uint64_t allocs[ML_COHORTS];       /**< of the site when the cohort began */
	struct ml_site_cohorts alive;      /**< at the newest point */
	double deaths[ML_AGE_BINS];        /**< blocks seen to die at that age */
	double block_seconds[ML_AGE_BINS]; /**< time that blocks of that age were watched */
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

/** When tracing began, CLOCK_MONOTONIC in ns. */
uint64_t ml_timeline_start(const struct ml_timeline *timeline);

/**
 * The cohorts to count in the next snapshot, for its filter: their borders are times of earlier
 * snapshots, close together near now and ever farther apart before. Borrowed until the next add.
 */
const struct ml_cohort_starts *ml_timeline_cohorts(const struct ml_timeline *timeline);

/**
 * What is known of the cohorts of site @p stack, those of the snapshot before the newest border;
 * NULL when the newest snapshot did not count them. Borrowed until the next add.
 */
const struct ml_cohort_history *ml_timeline_survivors(const struct ml_timeline *timeline,
						      uint64_t stack);

/** Sets what the residue of site @p stack is, at its newest point: from a recording. */
void ml_timeline_set_residue(struct ml_timeline *timeline, uint64_t stack,
			     const struct ml_residue *residue);

/** What was set; NULL when nothing was. */
const struct ml_residue *ml_timeline_residue(const struct ml_timeline *timeline, uint64_t stack);

#endif

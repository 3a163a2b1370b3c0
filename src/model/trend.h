/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * What the numbers of a series say: direction, significance, shape. No opinions; verdict.c has
 * those.
 *
 * The slope is Theil and Sen's (the median over all pairs of points: a few odd points do not move
 * it), the significance Mann and Kendall's (counts how many pairs rise).
 */
#ifndef ML_MODEL_TREND_H
#define ML_MODEL_TREND_H

#include "model/timeline.h"

#include <stddef.h>

/** Points of a series; more are averaged into this many equal stretches of time. */
#define ML_TREND_POINTS 20

/** Mann–Kendall: beyond this it rises (below its negative: falls) with 95 % certainty. */
#define ML_TREND_Z 1.64

/** All but the series, span_s and z are 0 when |z| < ML_TREND_Z: there is no trend to describe. */
struct ml_trend {
	size_t count;                   /**< points of the series, at most ML_TREND_POINTS */
	double time_s[ML_TREND_POINTS]; /**< from the first point */
	double bytes[ML_TREND_POINTS];
	double span_s;                      /**< from the first point to the last */
	double slope;                       /**< bytes per second */
	double z;                           /**< significance */
	double noise_bytes;                 /**< median distance from the line */
	double min, max;                    /**< bytes */
	double first_quarter, last_quarter; /**< mean bytes */
	/**
	 * The rise from the third to the fourth quarter in parts of what it would be on a straight
	 * line: 1 = straight, 0 = flat by now, above 1 = speeding up. 1 when that cannot be told
	 * from noise.
	 */
	double straightness;
	double likely_straightness; /**< the same, noise or not */
	double drawdown; /**< largest fall from a peak to a later point, in parts of max - min */
};

/** Looks at @p count points, at least 2. */
void ml_trend_measure(const struct ml_timeline_point *points, size_t count, struct ml_trend *out);

/** True when the low points between falls rise: what stays after each fall grows. */
bool ml_trend_is_floor_rising(const struct ml_trend *trend);

/** The steps up of a level that never falls: few blocks, each time bigger ones, in place of the
 * others or beside them. */
struct ml_trend_steps {
	size_t count;
	uint64_t last_ns, before_ns; /**< times of the last two */
	bool is_each_bigger;         /**< each adds 1.4 times as much as the one before, or more */
};

/** False when the level of @p points falls, or there are too many blocks to be one that grows. */
bool ml_trend_find_steps(const struct ml_timeline_point *points, size_t count,
			 struct ml_trend_steps *out);

#endif

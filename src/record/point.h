/* SPDX-License-Identifier: BSD-2-Clause */
/** A moment of a recording, as people name it. */
#ifndef ML_RECORD_POINT_H
#define ML_RECORD_POINT_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

enum ml_point_kind {
	ML_POINT_END,
	ML_POINT_START,
	ML_POINT_MARK,      /**< the mark of number `mark` */
	ML_POINT_LAST_MARK, /**< the last mark there is */
	ML_POINT_ELAPSED,   /**< `elapsed_s` after tracing began */
	ML_POINT_CLOCK,     /**< the first time that clocks showed `clock_s` */
	ML_POINT_TIME,      /**< CLOCK_REALTIME `time_s`, of local time when `is_local` */
};

/** All-zero is the end. */
struct ml_point {
	enum ml_point_kind kind;
	uint64_t mark;
	double elapsed_s;
	double clock_s; /**< seconds of the day */
	double time_s;
	double width_s; /**< what was not said of a clock or time: 1 when it has no fraction */
	bool is_local;  /**< in the time zone of the recording */
};

/**
 * Parses "start", "end", "mark" (the last one), a number (of a mark), "+SECONDS" (since tracing
 * began), "HH:MM[:SS]" or an RFC 3339 time. ML_ERROR_USAGE lists what can be said.
 */
struct ml_error *ml_point_parse(const char *text, struct ml_point *out);

/** What moments and points are compared by. */
struct ml_point_moment {
	struct timespec time;
	int utc_offset_s;
	double elapsed_s;
};

/**
 * The time of @p point (a time of day or a date) in seconds since 1970 UTC, for a recording whose
 * first moment is @p first.
 */
double ml_point_time_s(const struct ml_point *point, const struct ml_point_moment *first);

#endif

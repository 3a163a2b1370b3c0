/* SPDX-License-Identifier: BSD-2-Clause */
/** A report of any moment of a recording, or of what came between two of them. */
#ifndef ML_RECORD_REPLAY_H
#define ML_RECORD_REPLAY_H

#include "record/point.h"
#include "record/recording.h"

/** What is wanted. All-zero: the run's own last report. */
struct ml_replay {
	struct ml_point to; /**< the report of the last moment up to here */
	bool has_from;
	struct ml_point from; /**< only what came after this */
	bool has_top, has_sort;
	uint64_t top;
	enum ml_report_sort sort;
	uint64_t older_ns, min_size, max_size; /**< 0 = as recorded */
	bool wants_blocks;                     /**< it is an error when there are none */
	bool names_top_only; /**< only the sites of `top` need frames (the text report) */
};

/**
 * Reads @p recording, which was just opened, up to where @p replay says, and builds the report,
 * which borrows from the recording. ML_ERROR_USAGE when there is no such moment.
 */
struct ml_error *ml_replay_report(struct ml_recording *recording, const struct ml_replay *replay,
				  struct ml_report *out);

#endif

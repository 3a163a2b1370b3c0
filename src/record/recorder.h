/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Makes a recording: every moment's books, and the names of their frames, as bytes to append to a
 * file. docs/FORMAT.md describes them.
 */
#ifndef ML_RECORD_RECORDER_H
#define ML_RECORD_RECORDER_H

#include "report/report.h"

struct ml_recorder;

/** What is recorded of a moment. All borrowed. */
struct ml_recorded_moment {
	/** As for the report of the moment; sites and totals come from the snapshot. */
	const struct ml_report_input *input;
	/** The target and the moment; its sites, totals and counters are not looked at. */
	const struct ml_report *report;
	uint64_t mark; /**< the number of the mark that was set at this moment; 0 = none */
};

/** Adds the beginning of a recording to @p out. */
struct ml_recorder *ml_recorder_create(struct ml_strbuf *out);
void ml_recorder_destroy(struct ml_recorder *recorder);

/** Adds a moment to @p out: what changed since the one before. */
void ml_recorder_add(struct ml_recorder *recorder, const struct ml_recorded_moment *moment,
		     struct ml_strbuf *out);

/** Adds the end: without it a reader says that the recording ends early. */
void ml_recorder_end(struct ml_recorder *recorder, struct ml_strbuf *out);

#endif

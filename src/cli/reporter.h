/* SPDX-License-Identifier: BSD-2-Clause */
/** From the tracer's books to a report that is written. */
#ifndef ML_CLI_REPORTER_H
#define ML_CLI_REPORTER_H

#include "base/error.h"
#include "cli/lost_blocks.h"
#include "cli/options.h"
#include "cli/record_file.h"
#include "cli/report_writer.h"
#include "cli/targets.h"
#include "model/snapshot.h"
#include "model/timeline.h"
#include "symbols/symbolizer.h"
#include "trace/tracer.h"

#include <stdbool.h>
#include <stdint.h>

/** A moment that reports can begin at. */
struct ml_mark {
	uint64_t time_ns; /**< CLOCK_MONOTONIC */
	struct timespec time;
};

/** Everything but the first group is the reporter's own. */
struct ml_reporter {
	/* borrowed */
	const struct ml_options *options;
	struct ml_tracer *tracer;
	struct ml_targets *targets;
	const struct ml_lost_blocks *lost; /**< what is known to be lost at the end */
	struct ml_record_file *record;     /**< gets every moment collected; NULL = none */
	struct ml_report_writer writer;    /**< its first group is the caller's to set */

	uint64_t sample_bytes; /**< 0 = off; as the tracer does it */
	struct ml_timeline *timeline;
	struct ml_symbolizer *symbolizer;
	uint64_t start_ns;           /**< CLOCK_MONOTONIC when tracing began */
	struct ml_snapshot snapshot; /**< the last one collected */
	double target_cpu_fraction;  /**< at that moment; < 0 unknown */
	double events_per_s;
	ML_ARRAY(struct ml_mark) marks; /**< mark N is the one at N - 1 */
};

/** What the reporter cannot know about a report. */
struct ml_moment {
	bool is_final;
	const char *end_reason; /**< NULL when nothing ended */
};

/** Starts the clock; the borrowed members are set. */
void ml_reporter_start(struct ml_reporter *reporter);

/**
 * Takes the books of now into the history. With @p all_ages blocks younger than --older are shown,
 * too.
 */
struct ml_error *ml_reporter_collect(struct ml_reporter *reporter, bool all_ages);

/**
 * Sets a mark: takes the books of now, as ml_reporter_collect() does, and tells the user and the
 * recording of it.
 */
struct ml_error *ml_reporter_mark(struct ml_reporter *reporter);

/**
 * Builds the report of the last books collected, records and writes it. A format that is one whole
 * document (not is_stream) is left out unless final.
 */
struct ml_error *ml_reporter_write(struct ml_reporter *reporter, const struct ml_moment *moment);

/**
 * Builds the report of the last books collected for somebody who looks at it here: all sites with
 * their frames, suppressions applied. ml_report_deinit() it, before the reporter.
 */
void ml_reporter_build(struct ml_reporter *reporter, struct ml_report *report);

/** Records the last books collected, when no report of them is built. */
void ml_reporter_record(struct ml_reporter *reporter);

void ml_reporter_deinit(struct ml_reporter *reporter);

#endif

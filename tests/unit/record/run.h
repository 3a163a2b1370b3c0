/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * A made-up run: stacks of all kinds, books that change from moment to moment, the run's own
 * reports, and its recording.
 */
#ifndef ML_TEST_RECORD_RUN_H
#define ML_TEST_RECORD_RUN_H

#include "base/clock.h"
#include "record/recorder.h"
#include "record/replay.h"

#define RUN_START_NS (1000 * ML_NS_PER_SECOND)
#define RUN_STACKS   16
#define RUN_MOMENTS  12
#define RUN_MARK_AT  4 /* the moment that mark 1 was set at */

struct run {
	struct ml_stack stacks[RUN_STACKS];
	struct ml_stack_frame frames[RUN_STACKS][8];
	struct ml_snapshot snapshot;
	struct ml_timeline *timeline;
	struct ml_recorder *recorder;
	struct ml_strbuf bytes;   /* the recording so far */
	size_t ends[RUN_MOMENTS]; /* how long it was after each moment */
	char *texts[RUN_MOMENTS]; /* the reports of each moment */
	char *jsons[RUN_MOMENTS];
	unsigned int moment;
	bool many_processes, want_blocks;
};

/* Makes the whole run, with its end. */
void run_make(struct run *run, bool many_processes, bool want_blocks);
void run_free(struct run *run);

/* @report as @format writes it; free() it. */
char *run_render(const struct ml_report_format *format, const struct ml_report *report);

/* Opens @size bytes of a recording. */
struct ml_error *run_open(const void *bytes, size_t size, struct ml_record_budget budget,
			  struct ml_recording **out);

#endif

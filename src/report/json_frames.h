/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Frames as JSON. The stacks of a program share most of their frames: each is written once and
 * copied after that, which is most of the time of a report of thousands of sites.
 */
#ifndef ML_REPORT_JSON_FRAMES_H
#define ML_REPORT_JSON_FRAMES_H

#include "base/json.h"
#include "base/u64map.h"
#include "report/report.h"

struct ml_json_frame {
	const struct ml_report_frame *frame; /**< borrowed */
	size_t start, length;                /**< in text */
};

/** All-zero is empty; for one report. */
struct ml_json_frames {
	ML_ARRAY(struct ml_json_frame) written;
	struct ml_u64map by_hash; /**< hash of a frame → index in written */
	FILE *stream;             /**< what is written to it is in text */
	char *text;
	size_t length;
};

/** Adds @p frame, which has to stay where it is, to an array of @p json. */
void ml_json_frames_add(struct ml_json_frames *frames, struct ml_json *json,
			const struct ml_report_frame *frame);

void ml_json_frames_free(struct ml_json_frames *frames);

#endif

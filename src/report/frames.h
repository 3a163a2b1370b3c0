/* SPDX-License-Identifier: BSD-2-Clause */
/** Names the frames of a report's stacks, and knows which in front are the allocator's own. */
#ifndef ML_REPORT_FRAMES_H
#define ML_REPORT_FRAMES_H

#include "base/u64map.h"
#include "report/report.h"

#include <stddef.h>

/** `{.input = …, .report = …}` is ready; for one report. */
struct ml_frame_namer {
	const struct ml_report_input *input; /**< borrowed */
	struct ml_report *report;            /**< whose strings and counters are added to */
	struct ml_u64map internal;           /**< frame → 1: the allocator's own, 0: not */
	struct ml_u64map shortened;          /**< symbol (pointer) → its short form (pointer) */
	struct ml_symbol_frames found;       /**< of the lookup under way */
};

/**
 * How many frames at the front of @p stack belong to the allocator; never all of them. (The
 * kernel's tracer leaves its own out.) Needs names of functions only, no DWARF, and asks once for
 * each address.
 */
size_t ml_frames_internal(struct ml_frame_namer *namer, const struct ml_stack *stack);

/**
 * Fills @p site's frames from frame @p skip of @p stack on, inlined ones expanded. @p ends, unless
 * NULL, gets for each frame of the stack how many the site has after it.
 */
void ml_frames_name(struct ml_frame_namer *namer, const struct ml_stack *stack, size_t skip,
		    struct ml_report_site *site, size_t *ends);

void ml_frames_deinit(struct ml_frame_namer *namer);

#endif

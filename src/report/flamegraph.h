/* SPDX-License-Identifier: BSD-2-Clause */
/** The sites of a report as one tree of calls, laid out from the outermost frame inwards. */
#ifndef ML_REPORT_FLAMEGRAPH_H
#define ML_REPORT_FLAMEGRAPH_H

#include "base/intern.h"
#include "report/report.h"

#define ML_VERDICT_CLASSES (ML_VERDICT_STARTUP + 1)

/** A frame together with those of the same callers. */
struct ml_flame {
	size_t parent; /**< index; the root is its own */
	size_t name;   /**< in names: what it is called, and where when that is known */
	unsigned int depth;
	bool is_inlined;
	uint64_t bytes, count;
	uint64_t start_bytes;                     /**< bytes left of it: its x */
	uint64_t class_bytes[ML_VERDICT_CLASSES]; /**< bytes by verdict */
	double growth_bytes_per_s;                /**< of the sites that leak or grow */
};

/** All-zero is empty. */
struct ml_flamegraph {
	ML_ARRAY(struct ml_flame) flames; /**< parents before their children; 0 is the root */
	struct ml_intern names, keys;
};

/** Fills @p graph from @p report. Widths are bytes; those of the root are outstanding_bytes. */
void ml_flamegraph_build(struct ml_flamegraph *graph, const struct ml_report *report);

/** The verdict of most bytes of @p flame. */
enum ml_verdict_class ml_flame_class(const struct ml_flame *flame);

/**
 * The bytes a flame needs to be drawn: 0.1 % of all, and more when there would be too many to look
 * at. @p left_out is the number of flames below that.
 */
uint64_t ml_flamegraph_threshold(const struct ml_flamegraph *graph, size_t *left_out);

void ml_flamegraph_free(struct ml_flamegraph *graph);

#endif

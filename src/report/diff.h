/* SPDX-License-Identifier: BSD-2-Clause */
/** What is different between two reports, stack by stack. */
#ifndef ML_REPORT_DIFF_H
#define ML_REPORT_DIFF_H

#include "report/report.h"

enum ml_change {
	ML_CHANGE_NEW,    /**< a stack that had nothing before */
	ML_CHANGE_GROWN,  /**< has more bytes, or as many in more blocks */
	ML_CHANGE_SHRUNK, /**< the opposite */
	ML_CHANGE_GONE,   /**< has nothing any more */
	ML_CHANGE_SAME,
	ML_CHANGE_COUNT,
};

/** The JSON name of @p change. */
const char *ml_change_name(enum ml_change change);

struct ml_diff_side {
	const struct ml_report_site *site; /**< the biggest of those of this stack; NULL = none */
	uint64_t bytes, count;             /**< of all of them */
};

struct ml_diff_site {
	struct ml_diff_side before, after;
	enum ml_change change;
};

struct ml_diff {
	const struct ml_report *before, *after; /**< borrowed */
	/** Those that differ, biggest growth first. */
	ML_ARRAY(struct ml_diff_site) sites;
	uint64_t counts[ML_CHANGE_COUNT]; /**< stacks of each kind */
};

/** More bytes (less: negative) than before. Sums are cut at what an int64_t holds. */
int64_t ml_diff_growth(uint64_t before, uint64_t after);

/** Compares all sites of two reports. ml_diff_deinit() it, before the reports. */
void ml_diff_build(const struct ml_report *before, const struct ml_report *after,
		   struct ml_diff *out);

/**
 * True when @p site is one that --fail-on-leak is about: it has more than before, and is judged a
 * leak, or will never be freed because the program has ended.
 */
bool ml_diff_is_leak(const struct ml_diff *diff, const struct ml_diff_site *site);

void ml_diff_deinit(struct ml_diff *diff);

/** What a diff can be written as; the first @p top stacks. */
void ml_diff_write_text(FILE *out, const struct ml_diff *diff, size_t top);
void ml_diff_write_json(FILE *out, const struct ml_diff *diff, size_t top);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * From a site's history to: leak, growing, cache, steady, start-up or unknown, and why.
 *
 * - leak: keeps growing, and what it allocates does not come back.
 * - growing: grows although much of it is freed, or grows ever slower.
 * - cache: bounded, of blocks that live long; or grew and then stopped.
 * - steady: what is allocated is freed again.
 * - start-up: allocated once, nothing new since.
 * - unknown: too little evidence.
 */
#ifndef ML_MODEL_VERDICT_H
#define ML_MODEL_VERDICT_H

#include "model/timeline.h"

enum ml_verdict_class {
	ML_VERDICT_UNKNOWN,
	ML_VERDICT_LEAK,
	ML_VERDICT_GROWING,
	ML_VERDICT_CACHE,
	ML_VERDICT_STEADY,
	ML_VERDICT_STARTUP,
};

struct ml_verdict {
	enum ml_verdict_class class;
	double confidence;         /**< 0 … 1 */
	double growth_bytes_per_s; /**< robust slope of the live bytes; 0 without a trend */
	char why[200];             /**< one sentence for people */
};

/** The JSON name of @p class. */
const char *ml_verdict_name(enum ml_verdict_class class);

/** Judges one site of @p timeline at its newest point. */
void ml_verdict_judge(const struct ml_timeline *timeline, uint64_t stack, struct ml_verdict *out);

#endif

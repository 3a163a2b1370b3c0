/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * What a site's blocks leave behind: those that live on at an age at which blocks of this site do
 * not die any more. Whatever comes and goes at the same site is not in it, so a leak of a few bytes
 * a second stands out clearly under any amount of churn.
 */
#ifndef ML_MODEL_RESIDUE_H
#define ML_MODEL_RESIDUE_H

#include <stdint.h>

struct ml_timeline;

/** How the residue has come about. */
enum ml_residue_shape {
	ML_RESIDUE_NONE,     /**< the tracer did not count cohorts */
	ML_RESIDUE_UNKNOWN,  /**< too few blocks or too short a time */
	ML_RESIDUE_DYING,    /**< there is none: the oldest blocks die, too */
	ML_RESIDUE_SLOWING,  /**< ever less is added to it */
	ML_RESIDUE_STRAIGHT, /**< the same is added to it all the time, or more and more */
};

struct ml_residue {
	enum ml_residue_shape shape;
	double settle_s; /**< older blocks do not die */
	/* STRAIGHT: the stretch of births, in CLOCK_MONOTONIC, and what of it stays */
	uint64_t from_ns;
	double span_s;
	double blocks, bytes, allocs;
};

/** Looks at site @p stack of @p timeline, or gives what ml_timeline_set_residue() set. */
void ml_residue_measure(const struct ml_timeline *timeline, uint64_t stack, struct ml_residue *out);

#endif

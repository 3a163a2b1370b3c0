/* SPDX-License-Identifier: BSD-2-Clause */
/** A program that allocates and frees by a rule, run block by block on a simulated clock. */
#ifndef ML_TEST_MODEL_SIMULATION_H
#define ML_TEST_MODEL_SIMULATION_H

#include "model/verdict.h"

#include <stddef.h>
#include <stdint.h>

#define STEPS_PER_SECOND 20
#define MAX_BLOCKS       200000

/** A simulated site: its live blocks in order of birth. */
struct program {
	struct block {
		uint64_t size;
		uint64_t born_ns;
	} blocks[MAX_BLOCKS];
	size_t head, tail; /**< live: head … tail - 1 */
	uint64_t live_bytes, allocs, frees;
	uint64_t now_ns;
	uint64_t random;
	double owed;     /**< allocations due, in parts */
	double step_s;   /**< time of one step */
	double state[4]; /**< the rule's own */
};

/** What a program does in one step at @p t seconds. */
typedef void step_fn(struct program *p, double t);

/** Deterministic numbers in [0, 1). */
double chance(struct program *p);
size_t live(const struct program *p);
void allocate(struct program *p, uint64_t size);
/** Frees live block number @p index, 0 the oldest. */
void release(struct program *p, size_t index);
/** How many allocations a step at @p rate a second brings. */
int due(struct program *p, double rate);

/** A run with a report every interval_s; the clock goes in steps of step_s. */
struct simulation {
	struct program *program;
	struct ml_timeline *timeline;
	double interval_s, next_s;
	uint64_t steps;
};

void simulation_begin(struct simulation *sim, uint64_t seed, double step_s, double interval_s);
/** Runs @p step until the next report is in the timeline; gives its time in seconds. */
double simulation_next(struct simulation *sim, step_fn *step);
void simulation_judge(const struct simulation *sim, struct ml_verdict *out);
void simulation_end(struct simulation *sim);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
#include "simulation.h"

#include "base/clock.h"

#include <assert.h>
#include <string.h>

#define START_S            1000
#define SECOND_NS(seconds) ((uint64_t)((seconds) * (double)ML_NS_PER_SECOND))

/* Too big for the stack; one simulation at a time. */
static struct program program;

/* A 64-bit linear congruential generator (Knuth's MMIX). */
double chance(struct program *p)
{
	p->random = p->random * 6364136223846793005ULL + 1442695040888963407ULL;
	return (double)(p->random >> 11) / (double)(1ULL << 53);
}

size_t live(const struct program *p)
{
	return p->tail - p->head;
}

void allocate(struct program *p, uint64_t size)
{
	if (p->tail == MAX_BLOCKS) {
		assert(p->head > 0);
		memmove(p->blocks, &p->blocks[p->head], live(p) * sizeof(p->blocks[0]));
		p->tail -= p->head;
		p->head = 0;
	}
	p->blocks[p->tail].size = size;
	p->blocks[p->tail++].born_ns = p->now_ns;
	p->live_bytes += size;
	p->allocs++;
}

void release(struct program *p, size_t index)
{
	size_t at = p->head + index;

	p->live_bytes -= p->blocks[at].size;
	p->frees++;
	if (at - p->head < p->tail - at) {
		memmove(&p->blocks[p->head + 1], &p->blocks[p->head],
			(at - p->head) * sizeof(p->blocks[0]));
		p->head++;
	} else {
		memmove(&p->blocks[at], &p->blocks[at + 1],
			(p->tail - at - 1) * sizeof(p->blocks[0]));
		p->tail--;
	}
}

int due(struct program *p, double rate)
{
	p->owed += rate * p->step_s;

	int count = (int)p->owed;

	p->owed -= count;
	return count;
}

void simulation_begin(struct simulation *sim, uint64_t seed, double step_s, double interval_s)
{
	memset(&program, 0, sizeof(program));
	program.random = seed;
	program.step_s = step_s;
	*sim = (struct simulation){
		.program = &program,
		.timeline = ml_timeline_create(SECOND_NS(START_S)),
		.interval_s = interval_s,
		.next_s = interval_s,
	};
}

static void report(struct simulation *sim)
{
	const struct program *p = sim->program;
	const struct ml_snapshot_filter filter = {
		.want_ages = true,
		.cohorts = ml_timeline_cohorts(sim->timeline),
	};
	struct ml_snapshot snapshot = {.time_ns = p->now_ns, .has_cohorts = true};

	if (p->allocs) {
		struct ml_site_books *books = ml_array_push(&snapshot.sites);

		*books = (struct ml_site_books){.stack = 1, .allocs = p->allocs, .frees = p->frees};
		for (size_t i = p->head; i < p->tail; i++) {
			const struct block *block = &p->blocks[i];

			ml_site_books_add(books, block->born_ns, block->size, 1);
			ml_snapshot_add_cohort(&snapshot, books, &filter, block->born_ns,
					       block->size, 1);
		}
	}
	ml_timeline_add(sim->timeline, &snapshot);
	ml_snapshot_deinit(&snapshot);
}

double simulation_next(struct simulation *sim, step_fn *step)
{
	for (;;) {
		double t = (double)sim->steps++ * sim->program->step_s;

		sim->program->now_ns = SECOND_NS(START_S + t);
		step(sim->program, t);
		if (t + 0.001 < sim->next_s)
			continue;
		sim->next_s += sim->interval_s;
		report(sim);
		return t;
	}
}

void simulation_judge(const struct simulation *sim, struct ml_verdict *out)
{
	ml_verdict_judge(sim->timeline, 1, out);
}

void simulation_end(struct simulation *sim)
{
	ml_timeline_destroy(sim->timeline);
}

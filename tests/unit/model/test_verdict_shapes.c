/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * More programs on a simulated clock, judged at every report from the moment on at which what they
 * do can be known: shares of right verdicts, and nothing that is bounded ever called a leak.
 */
#include "simulation.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LEAK    (1u << ML_VERDICT_LEAK)
#define GROWING (1u << ML_VERDICT_GROWING)
#define CACHE   (1u << ML_VERDICT_CACHE)
#define STEADY  (1u << ML_VERDICT_STEADY)
#define STARTUP (1u << ML_VERDICT_STARTUP)
#define UNKNOWN (1u << ML_VERDICT_UNKNOWN)
#define BOUNDED (CACHE | STEADY | STARTUP)

static const uint64_t seeds[] = {23, 101, 99991};

/** True once in @p period_s, at @p phase_s. */
static bool is_time(const struct program *p, double t, double period_s, double phase_s)
{
	return fmod(t - phase_s + period_s, period_s) < p->step_s * 0.999;
}

static void release_all(struct program *p, size_t keep)
{
	while (live(p) > keep)
		release(p, 0);
}

/** Frees what is older than @p age_s, but for those kept on purpose: sizes of 20 bytes. */
static void expire(struct program *p, double age_s)
{
	for (size_t i = 0; i < live(p);) {
		const struct block *block = &p->blocks[p->head + i];

		if (block->size == 20) {
			i++;
			continue;
		}
		if ((double)(p->now_ns - block->born_ns) * 1e-9 < age_s - 1e-6)
			break;
		release(p, i);
	}
}

static void allocate_many(struct program *p, double count, uint64_t size)
{
	for (int i = 0; i < (int)count; i++)
		allocate(p, size);
}

/* ---- leaks ---------------------------------------------------------------------------------- */

static void leak_hidden(struct program *p, double t)
{
	allocate_many(p, due(p, 2000), 1000);
	expire(p, 0.1 + 0.2 * chance(p));
	if (is_time(p, t, 1, 0.5))
		allocate(p, 20);
}

static void leak_hidden_slow(struct program *p, double t)
{
	allocate_many(p, due(p, 400), 1000);
	expire(p, 0.1 + 0.3 * chance(p));
	if (is_time(p, t, 7, 0.5))
		allocate(p, 20);
}

static void leak_on_errors(struct program *p, double t)
{
	for (int i = due(p, 100); i > 0; i--)
		allocate(p, chance(p) < 0.01 ? 20 : 256);
	expire(p, 0.2);
}

static void leak_of_bursts(struct program *p, double t)
{
	if (is_time(p, t, 60, 7))
		allocate_many(p, 1000, 100);
}

static void leak_decreasing(struct program *p, double t)
{
	allocate_many(p, due(p, 50 / (1 + t / 20)), 100);
}

static void leak_accelerating(struct program *p, double t)
{
	allocate_many(p, due(p, 1 + t), 100);
}

static void leak_random(struct program *p, double t)
{
	if (chance(p) < 0.5 * p->step_s)
		allocate(p, 4096);
}

static void leak_by_load(struct program *p, double t)
{
	allocate_many(p, due(p, 50 + 40 * sin(t / 5)), 64);
}

static void leak_after_cache(struct program *p, double t)
{
	for (int i = due(p, 40); i > 0; i--) {
		allocate(p, t > 60 && chance(p) < 0.2 ? 20 : 300);
		if (live(p) > 300 && t < 60)
			release(p, 0);
	}
	if (t >= 60)
		expire(p, 7.5);
}

static void leak_below_gc(struct program *p, double t)
{
	for (int i = due(p, 50); i > 0; i--)
		allocate(p, chance(p) < 0.05 ? 20 : 100);
	if (is_time(p, t, 8, 0))
		expire(p, 0);
}

static void leak_late_in_churn(struct program *p, double t)
{
	allocate_many(p, due(p, 300), 500);
	expire(p, 0.3);
	if (t > 100)
		allocate_many(p, 4 * p->step_s + chance(p), 20);
}

static void leak_and_big_startup(struct program *p, double t)
{
	if (t < 1.5)
		allocate_many(p, 300, 1000);
	else if (is_time(p, t, 0.5, 0))
		allocate(p, 101);
}

static void leak_of_realloc(struct program *p, double t)
{
	uint64_t size = live(p) ? p->blocks[p->head].size : 100;

	if (!is_time(p, t, 0.25, 0))
		return;
	release_all(p, 0);
	allocate(p, size + 1000);
}

/* ---- growing -------------------------------------------------------------------------------- */

static void vector_doubling(struct program *p, double t)
{
	uint64_t size = live(p) ? p->blocks[p->head].size : 1024;

	p->state[0] += 2000 * p->step_s * 8;
	while ((double)size < p->state[0])
		size *= 2;
	if (live(p) && p->blocks[p->head].size == size)
		return;
	release_all(p, 0);
	allocate(p, size);
}

/* A pool that is never reset: its blocks double. */
static void pool_doubling(struct program *p, double t)
{
	uint64_t size = 1024;

	p->state[0] += 2000 * p->step_s * 8;
	for (size_t i = 0; i < live(p); i++)
		size *= 2;
	if ((double)size < p->state[0])
		allocate(p, size);
}

static void queue_lagging(struct program *p, double t)
{
	for (int i = due(p, 80); i > 0; i--) {
		allocate(p, 200);
		if (chance(p) < 0.9)
			release(p, 0);
	}
}

/* ---- bounded -------------------------------------------------------------------------------- */

static void cache_ttl(struct program *p, double t)
{
	allocate_many(p, 20 * p->step_s + chance(p), 300);
	expire(p, 15);
}

static void cache_ttl_long(struct program *p, double t)
{
	allocate_many(p, due(p, 10 + 5 * chance(p)), 300);
	expire(p, 40);
}

static void cache_random_eviction(struct program *p, double t)
{
	for (int i = due(p, 20); i > 0; i--) {
		allocate(p, 300);
		if (live(p) > 500)
			release(p, (size_t)(chance(p) * (double)live(p)));
	}
}

/** Entries that are asked for often stay, the rest goes soon. */
static void cache_hot(struct program *p, double t)
{
	for (int i = due(p, 50); i > 0; i--) {
		allocate(p, 300);
		if (live(p) > 400)
			release(p, live(p) - 1 - (size_t)(chance(p) * chance(p) * 400));
	}
}

static void cache_slow_to_fill(struct program *p, double t)
{
	for (int i = due(p, 50); i > 0; i--) {
		allocate(p, 300);
		if (live(p) > 3000)
			release(p, 0);
	}
}

static void cache_memo(struct program *p, double t)
{
	for (int i = due(p, 150); i > 0; i--)
		if (chance(p) > (double)live(p) / 3001)
			allocate(p, 256);
}

static void cache_flushed(struct program *p, double t)
{
	if (is_time(p, t, 40, 39))
		release_all(p, 0);
	for (int i = due(p, 100); i > 0; i--)
		if (chance(p) > (double)live(p) / 997)
			allocate(p, 256);
}

/** As many as were ever needed at once. */
static void pool_high_water(struct program *p, double t)
{
	double need = 50;

	for (int i = 0; i < 12; i++)
		need += 20 * (chance(p) - 0.5);
	while ((double)live(p) < need)
		allocate(p, 512);
}

static void pool_of_connections(struct program *p, double t)
{
	double need = fmin(2 + t / 2, 20);

	while ((double)live(p) < need)
		allocate(p, 16384);
	/* A broken one is replaced. */
	if (live(p) && chance(p) < p->step_s / 9)
		release(p, (size_t)(chance(p) * (double)live(p)));
}

static void queue_bursts(struct program *p, double t)
{
	if (is_time(p, t, 11, 3))
		allocate_many(p, 500, 200);
	for (int i = due(p, 150); i > 0 && live(p); i--)
		release(p, 0);
	allocate_many(p, due(p, 20), 200);
}

/** Arrivals at random, served at random, nearly as many as can be served. */
static void queue_random(struct program *p, double t)
{
	for (int i = 0; i < 10; i++) {
		if (chance(p) < 0.45)
			allocate(p, 200);
		if (chance(p) < 0.5 && live(p))
			release(p, 0);
	}
}

static void gc_saw(struct program *p, double t)
{
	allocate_many(p, due(p, 60), 100);
	if (live(p) > 700)
		release_all(p, 60);
}

static void gc_generations(struct program *p, double t)
{
	allocate_many(p, due(p, 80), 100);
	if (is_time(p, t, 2, 0)) /* the young */
		for (size_t i = live(p); i-- > 0 && live(p);)
			if (p->now_ns - p->blocks[p->head + i].born_ns < 2000000000 &&
			    chance(p) < 0.9)
				release(p, i);
	if (is_time(p, t, 16, 0))
		release_all(p, 20);
}

static void job_in_bursts(struct program *p, double t)
{
	if (is_time(p, t, 25, 5))
		allocate_many(p, 500, 300);
	if (is_time(p, t, 25, 15))
		release_all(p, 0);
}

static void job_frees_at_next(struct program *p, double t)
{
	if (!is_time(p, t, 20, 2))
		return;
	release_all(p, 0);
	allocate_many(p, 300 + 50 * chance(p), 300);
}

static void job_accumulating(struct program *p, double t)
{
	allocate_many(p, due(p, 30), 128);
	if (is_time(p, t, 18, 17))
		release_all(p, 0);
}

static void sessions(struct program *p, double t)
{
	allocate_many(p, due(p, 10), 2000);
	for (size_t i = live(p); i-- > 0;)
		if (chance(p) < p->step_s / 30)
			release(p, i);
}

static void requests(struct program *p, double t)
{
	allocate_many(p, due(p, 500), 8192);
	expire(p, 0.1 * chance(p));
}

static void churn_rare(struct program *p, double t)
{
	if (is_time(p, t, 3, 0))
		allocate(p, 100);
	expire(p, 10);
}

static void warm_up(struct program *p, double t)
{
	double level = 300 * (1 - exp(-t / 12));

	allocate_many(p, due(p, 200), 100);
	while ((double)live(p) > level + 20 * chance(p))
		release(p, (size_t)(chance(p) * (double)live(p)));
}

static void workers(struct program *p, double t)
{
	double level = t < 40 ? 50 : t < 80 ? 100 : 150;

	allocate_many(p, due(p, 200), 100);
	while ((double)live(p) > level + 20 * chance(p))
		release(p, (size_t)(chance(p) * (double)live(p)));
}

static void singletons(struct program *p, double t)
{
	static const double at[] = {0.5, 1, 2.5, 4, 7};

	for (size_t i = 0; i < 5; i++)
		if (fabs(t - at[i]) < p->step_s / 2)
			allocate(p, 4096);
}

static void table_resized(struct program *p, double t)
{
	uint64_t size = live(p) ? p->blocks[p->head].size : 128;

	p->state[0] += 100 * p->step_s * 8;
	if (p->state[0] > 65536)
		p->state[0] = 65536;
	while ((double)size < p->state[0])
		size *= 2;
	if (live(p) && p->blocks[p->head].size == size)
		return;
	release_all(p, 0);
	allocate(p, size);
}

static void leak_fixed(struct program *p, double t)
{
	if (t < 60)
		allocate_many(p, due(p, 20), 100);
}

static const struct example {
	const char *name;
	step_fn *step;
	double seconds, interval_s;
	double known_s;       /**< from then on every verdict counts */
	unsigned int allowed; /**< classes that are right */
} examples[] = {
	{"leak hidden in churn", leak_hidden, 120, 1, 45, LEAK},
	{"leak hidden in churn, 5 s", leak_hidden, 300, 5, 90, LEAK},
	{"slow leak hidden in churn", leak_hidden_slow, 900, 5, 300, LEAK},
	{"leak on 1 % errors", leak_on_errors, 120, 1, 60, LEAK},
	{"leak in bursts a minute apart", leak_of_bursts, 600, 5, 260, LEAK},
	{"leak in bursts a minute apart, 1 s", leak_of_bursts, 400, 1, 260, LEAK},
	{"leak decreasing", leak_decreasing, 120, 1, 10, LEAK | GROWING},
	{"leak accelerating", leak_accelerating, 90, 1, 10, LEAK},
	{"leak at random", leak_random, 120, 1, 40, LEAK},
	{"leak by load", leak_by_load, 180, 1, 30, LEAK | GROWING},
	{"leak after cache", leak_after_cache, 150, 1, 110, LEAK},
	{"leak below gc", leak_below_gc, 150, 1, 60, LEAK},
	{"leak late in churn", leak_late_in_churn, 200, 1, 140, LEAK},
	{"leak and big start-up", leak_and_big_startup, 60, 1, 20, LEAK},
	{"realloc growth", leak_of_realloc, 60, 1, 10, LEAK | GROWING},
	{"vector doubling", vector_doubling, 120, 1, 10, GROWING},
	{"pool doubling", pool_doubling, 120, 1, 10, GROWING},
	{"queue lagging", queue_lagging, 120, 1, 40, GROWING},
	{"ttl 15 s", cache_ttl, 120, 1, 30, BOUNDED},
	{"ttl 40 s", cache_ttl_long, 200, 1, 80, BOUNDED},
	{"ttl 40 s, 5 s", cache_ttl_long, 600, 5, 120, BOUNDED},
	{"random eviction", cache_random_eviction, 240, 1, 60, BOUNDED},
	{"hot entries stay", cache_hot, 200, 1, 30, BOUNDED},
	{"slow to fill", cache_slow_to_fill, 240, 1, 85, BOUNDED},
	{"memo", cache_memo, 150, 1, 50, BOUNDED | GROWING},
	{"memo, saturated", cache_memo, 200, 1, 130, BOUNDED},
	{"flushed", cache_flushed, 240, 1, 80, BOUNDED | GROWING},
	{"pool to high water", pool_high_water, 240, 1, 20, BOUNDED | UNKNOWN | GROWING},
	{"connection pool", pool_of_connections, 240, 1, 70, BOUNDED | UNKNOWN},
	{"queue with bursts", queue_bursts, 120, 1, 25, BOUNDED},
	{"queue at random", queue_random, 240, 1, 30, BOUNDED | GROWING},
	{"gc saw", gc_saw, 120, 1, 30, BOUNDED},
	{"gc with generations", gc_generations, 120, 1, 36, BOUNDED},
	{"job in bursts", job_in_bursts, 150, 1, 40, BOUNDED | UNKNOWN},
	{"job frees at the next", job_frees_at_next, 150, 1, 45, BOUNDED},
	{"job frees what it gathered", job_accumulating, 150, 1, 40, BOUNDED},
	{"sessions", sessions, 240, 1, 150, BOUNDED},
	{"sessions, filling", sessions, 120, 1, 10, BOUNDED | GROWING},
	{"requests", requests, 60, 1, 5, STEADY},
	{"rare churn", churn_rare, 120, 1, 30, BOUNDED},
	{"warm-up", warm_up, 150, 1, 60, BOUNDED},
	{"workers", workers, 200, 1, 110, BOUNDED},
	{"singletons", singletons, 60, 1, 25, STARTUP | CACHE},
	{"table resized", table_resized, 200, 1, 10, BOUNDED | GROWING | UNKNOWN},
	{"leak, fixed", leak_fixed, 240, 1, 110, BOUNDED},
};

struct score {
	size_t reports, right, false_leaks;
	struct ml_verdict wrong; /**< the last one, and when it was */
	double wrong_s;
};

static void judge_all(const struct example *example, uint64_t seed, struct score *score)
{
	struct simulation sim;
	double t;

	simulation_begin(&sim, seed, 1.0 / STEPS_PER_SECOND, example->interval_s);
	do {
		struct ml_verdict verdict;

		t = simulation_next(&sim, example->step);
		if (t < example->known_s)
			continue;
		simulation_judge(&sim, &verdict);
		score->reports++;
		if (example->allowed >> verdict.class & 1) {
			score->right++;
			continue;
		}
		score->false_leaks += verdict.class == ML_VERDICT_LEAK;
		score->wrong = verdict;
		score->wrong_s = t;
	} while (t + example->interval_s <= example->seconds);
	simulation_end(&sim);
}

static void test_shapes(void **state)
{
	size_t reports = 0, right = 0, false_leaks = 0;

	for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
		struct score score = {0};

		for (size_t j = 0; j < sizeof(seeds) / sizeof(seeds[0]); j++)
			judge_all(&examples[i], seeds[j], &score);
		reports += score.reports;
		right += score.right;
		false_leaks += score.false_leaks;
		printf("# %5.1f %% of %zu, %zu false leaks: %s\n",
		       100.0 * (double)score.right / (double)score.reports, score.reports,
		       score.false_leaks, examples[i].name);
		if (score.right < score.reports)
			printf("#    at %.0f s %s: %s\n", score.wrong_s,
			       ml_verdict_name(score.wrong.class), score.wrong.why);
	}
	printf("# %zu of %zu reports right\n", right, reports);
	assert_int_equal(false_leaks, 0);
	assert_true((double)right >= 0.95 * (double)reports);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shapes),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

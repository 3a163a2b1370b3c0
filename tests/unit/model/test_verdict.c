/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * A benchmark of verdicts: programs that allocate and free by a rule are run on a simulated clock,
 * block by block, and the verdict at the end is compared with what the rule is.
 */
#include "simulation.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/** The same rule with other random numbers must get the same verdict. */
static const uint64_t seeds[] = {23, 101, 99991};

static void leak(struct program *p, double t)
{
	for (int i = due(p, 1); i > 0; i--)
		allocate(p, 8192);
}

static void leak_fast(struct program *p, double t)
{
	for (int i = due(p, 997); i > 0; i--)
		allocate(p, 23);
}

/** Sums that were read a little later than the blocks in the beginning, and not so at the end. */
static void leak_with_torn_sums(struct program *p, double t)
{
	leak(p, t);
	p->frees = t < 8 ? 3 : 0;
}

static void leak_rare(struct program *p, double t)
{
	for (int i = due(p, 1.0 / 47); i > 0; i--)
		allocate(p, 101);
}

static void churn_of(struct program *p, double rate, size_t level)
{
	for (int i = due(p, rate); i > 0; i--)
		allocate(p, (uint64_t)(64 + 64 * chance(p)));
	while (live(p) > level + (size_t)((double)level * 0.3 * chance(p)))
		release(p, live(p) - 1);
}

/** Requests of random number in flight, and one block in a hundred forgotten. */
static void leak_under_churn(struct program *p, double t)
{
	size_t kept = (size_t)t * 2;

	churn_of(p, 200, 50 + kept);
}

/** Half of the blocks are freed by an error path, half are not. */
static void leak_half(struct program *p, double t)
{
	for (int i = due(p, 20); i > 0; i--) {
		allocate(p, 101);
		if (chance(p) < 0.5)
			release(p, live(p) - 1);
	}
}

/** A slow leak beneath a level that jumps about. */
static void leak_slow_noisy(struct program *p, double t)
{
	churn_of(p, 100, 200 + (size_t)(1.5 * t));
}

static void leak_late(struct program *p, double t)
{
	if (t > 60)
		leak(p, t);
	else if (!p->allocs)
		allocate(p, 4096);
}

static void leak_late_under_churn(struct program *p, double t)
{
	churn_of(p, 100, 100 + (t > 60 ? (size_t)(10 * (t - 60)) : 0));
}

static void leak_after_startup(struct program *p, double t)
{
	if (t < 2)
		for (int i = 0; i < 50; i++)
			allocate(p, 65536);
	else
		leak(p, t);
}

static void leak_in_bursts(struct program *p, double t)
{
	if ((int)(t * STEPS_PER_SECOND) % (7 * STEPS_PER_SECOND) == 0)
		for (int i = 0; i < 23; i++)
			allocate(p, 512);
}

/** A saw whose low points rise. */
static void leak_below_saw(struct program *p, double t)
{
	size_t keep = (size_t)(20 * t);

	for (int i = due(p, 50); i > 0; i--)
		allocate(p, 100);
	if ((int)(t * STEPS_PER_SECOND) % (9 * STEPS_PER_SECOND) == 0)
		while (live(p) > keep)
			release(p, live(p) - 1);
}

static void cache_filled(struct program *p, double t)
{
	if (p->allocs < 200)
		for (int i = due(p, 10); i > 0; i--)
			allocate(p, 1024);
}

/** Filled with what is not in it yet: ever fewer are new. */
static void cache_saturating(struct program *p, double t)
{
	for (int i = due(p, 100); i > 0; i--)
		if (chance(p) > (double)live(p) / 1009)
			allocate(p, 256);
}

static void cache_lru(struct program *p, double t)
{
	for (int i = due(p, 50); i > 0; i--) {
		allocate(p, 300);
		if (live(p) > 500)
			release(p, 0);
	}
}

/** Bounded, emptied of a tenth when full. */
static void cache_trimmed(struct program *p, double t)
{
	for (int i = due(p, 50); i > 0; i--)
		allocate(p, 300);
	if (live(p) > 500)
		while (live(p) > 450)
			release(p, (size_t)(chance(p) * (double)live(p)));
}

static void startup(struct program *p, double t)
{
	if (t < 1)
		for (int i = 0; i < 23; i++)
			allocate(p, 4096);
}

static void startup_late(struct program *p, double t)
{
	if (t >= 20 && !p->allocs)
		for (int i = 0; i < 101; i++)
			allocate(p, 4096);
}

static void steady_churn(struct program *p, double t)
{
	churn_of(p, 500, 100);
}

/** Threads that come and go: a stack each, few alive. */
static void steady_threads(struct program *p, double t)
{
	for (int i = due(p, 20); i > 0; i--)
		allocate(p, 8 << 20);
	while (live(p) && (live(p) > 16 || chance(p) < 0.3))
		release(p, (size_t)(chance(p) * (double)live(p)));
}

static void steady_bursts(struct program *p, double t)
{
	int phase = (int)(t * STEPS_PER_SECOND) % (10 * STEPS_PER_SECOND);

	if (phase == 0)
		for (int i = 0; i < 101; i++)
			allocate(p, 2048);
	if (phase == 3 * STEPS_PER_SECOND)
		while (live(p))
			release(p, 0);
}

static void steady_saw(struct program *p, double t)
{
	for (int i = due(p, 20); i > 0; i--)
		allocate(p, 512);
	if (live(p) >= 300)
		while (live(p))
			release(p, 0);
}

/** Work by day: a level that swings. */
static void steady_wave(struct program *p, double t)
{
	double phase = t / 30 - (double)(int)(t / 30);
	double wave = phase < 0.5 ? 2 * phase : 2 - 2 * phase;

	churn_of(p, 300, 100 + (size_t)(100 * wave));
}

/** A level that steps up once (another worker) and stays. */
static void steady_step(struct program *p, double t)
{
	churn_of(p, 500, t < 40 ? 100 : 200);
}

/** Many vectors, each pushed to: old storage is freed, new storage is twice as big. */
static void growing_vectors(struct program *p, double t)
{
	for (int i = due(p, 4); i > 0; i--) {
		if (live(p) < 8) {
			allocate(p, 64);
			continue;
		}
		uint64_t size = p->blocks[p->head].size;

		release(p, 0);
		allocate(p, size + size / 20 + 64);
	}
}

/** A queue whose reader is slower than its writer. */
static void growing_queue(struct program *p, double t)
{
	for (int i = due(p, 60); i > 0; i--) {
		allocate(p, 200);
		if (chance(p) < 0.7)
			release(p, 0);
	}
}

/** Runs @p step for @p seconds with a report every @p interval_s and judges. */
static void run_seeded(uint64_t seed, step_fn *step, double seconds, double interval_s,
		       struct ml_verdict *verdict)
{
	struct simulation sim;

	simulation_begin(&sim, seed, 1.0 / STEPS_PER_SECOND, interval_s);
	while (simulation_next(&sim, step) + interval_s <= seconds + 0.001)
		;
	simulation_judge(&sim, verdict);
	simulation_end(&sim);
}

static void run(step_fn *step, double seconds, double interval_s, struct ml_verdict *verdict)
{
	run_seeded(seeds[0], step, seconds, interval_s, verdict);
}

#define LEAK    (1u << ML_VERDICT_LEAK)
#define GROWING (1u << ML_VERDICT_GROWING)
#define CACHE   (1u << ML_VERDICT_CACHE)
#define STEADY  (1u << ML_VERDICT_STEADY)
#define STARTUP (1u << ML_VERDICT_STARTUP)
#define UNKNOWN (1u << ML_VERDICT_UNKNOWN)

static const struct example {
	const char *name;
	step_fn *step;
	double seconds, interval_s;
	unsigned int allowed; /**< classes that are right */
	double confidence;    /**< at least */
} examples[] = {
	{"leak, 3 reports", leak, 3, 1, UNKNOWN, 0},
	{"leak, 6 s", leak, 6, 1, LEAK, 0.4},
	{"leak, 10 s", leak, 10, 1, LEAK, 0.6},
	{"leak, 60 s", leak, 60, 1, LEAK, 0.9},
	{"leak, 5-s reports", leak, 60, 5, LEAK, 0.8},
	{"leak, one hour", leak, 3600, 5, LEAK, 0.95},
	{"leak, one report after 5 s", leak, 5, 5, UNKNOWN, 0},
	{"leak, fast, half-second reports", leak_fast, 5, 0.5, LEAK, 0.5},
	{"leak, fast", leak_fast, 30, 1, LEAK, 0.8},
	{"leak, sums torn", leak_with_torn_sums, 10, 1, LEAK, 0.6},
	{"leak, rare, too early", leak_rare, 60, 5, UNKNOWN | STARTUP, 0},
	{"leak, rare", leak_rare, 600, 5, LEAK, 0.9},
	{"leak, half freed", leak_half, 30, 1, LEAK | GROWING, 0.5},
	{"leak under churn", leak_under_churn, 60, 1, LEAK | GROWING, 0.6},
	{"leak under churn, 5-s reports", leak_under_churn, 300, 5, LEAK | GROWING, 0.6},
	{"leak, slow and noisy", leak_slow_noisy, 300, 5, LEAK | GROWING, 0.6},
	{"leak, late", leak_late, 72, 1, LEAK, 0.5},
	{"leak, late, later", leak_late, 180, 1, LEAK, 0.8},
	{"leak, late, under churn", leak_late_under_churn, 90, 1, LEAK | GROWING, 0.5},
	{"leak after start-up", leak_after_startup, 60, 1, LEAK, 0.8},
	{"leak in bursts", leak_in_bursts, 90, 1, LEAK, 0.8},
	{"leak below a saw", leak_below_saw, 120, 1, LEAK | GROWING, 0.5},
	{"cache, filling", cache_filled, 15, 1, LEAK | GROWING, 0},
	{"cache, full for 15 s", cache_filled, 35, 1, CACHE, 0.4},
	{"cache, full for 100 s", cache_filled, 120, 1, CACHE, 0.7},
	{"cache, saturating", cache_saturating, 60, 1, CACHE | GROWING, 0.3},
	{"cache, saturated", cache_saturating, 150, 1, CACHE, 0.6},
	{"LRU filling", cache_lru, 8, 1, LEAK | GROWING | UNKNOWN, 0},
	{"LRU at capacity", cache_lru, 60, 1, CACHE, 0.6},
	{"LRU at capacity, one hour", cache_lru, 3600, 5, CACHE, 0.8},
	{"cache, trimmed", cache_trimmed, 90, 1, CACHE, 0.6},
	{"start-up", startup, 8, 1, STARTUP, 0.5},
	{"start-up, one hour", startup, 3600, 5, STARTUP, 0.9},
	{"start-up, late", startup_late, 60, 1, STARTUP, 0.6},
	{"steady churn", steady_churn, 30, 1, STEADY, 0.7},
	{"steady churn, one hour", steady_churn, 3600, 5, STEADY, 0.9},
	{"steady threads", steady_threads, 60, 1, STEADY, 0.7},
	{"steady bursts", steady_bursts, 95, 1, STEADY, 0.7},
	{"steady saw, up", steady_saw, 74, 1, STEADY, 0.7},
	{"steady saw, down", steady_saw, 65, 1, STEADY, 0.7},
	{"steady wave, up", steady_wave, 135, 1, STEADY, 0.7},
	{"steady wave, down", steady_wave, 150, 1, STEADY, 0.7},
	{"steady step", steady_step, 100, 1, STEADY | CACHE, 0.6},
	{"growing vectors", growing_vectors, 60, 1, GROWING, 0.6},
	{"growing queue", growing_queue, 60, 1, GROWING, 0.6},
};

/** Judges @p example with @p seed, says so, and gives whether it came out right. */
static bool is_right(const struct example *example, uint64_t seed)
{
	struct ml_verdict verdict;
	bool right;

	run_seeded(seed, example->step, example->seconds, example->interval_s, &verdict);
	right = (example->allowed >> verdict.class & 1) &&
		verdict.confidence >= example->confidence && verdict.why[0];
	if (seed == seeds[0] || !right)
		printf("# %s %-32s %-8s %.2f %9.0f B/s  %s\n", right ? "ok   " : "WRONG",
		       example->name, ml_verdict_name(verdict.class), verdict.confidence,
		       verdict.growth_bytes_per_s, verdict.why);
	return right;
}

static void test_examples(void **state)
{
	size_t wrong = 0;

	for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++)
		for (size_t j = 0; j < sizeof(seeds) / sizeof(seeds[0]); j++)
			wrong += !is_right(&examples[i], seeds[j]);
	assert_int_equal(wrong, 0);
}

/** Nothing that only churns may ever be called a leak, at whatever moment one looks. */
static void test_no_false_leak_at_any_time(void **state)
{
	static step_fn *const harmless[] = {
		steady_churn,
		steady_threads,
		steady_bursts,
		steady_wave,
	};

	for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++)
		for (int seconds = 4; seconds < 130; seconds += 3) {
			struct ml_verdict verdict;

			run(harmless[i], seconds, 1, &verdict);
			if (verdict.class == ML_VERDICT_LEAK)
				print_error("%zu at %d s: %s\n", i, seconds, verdict.why);
			assert_int_not_equal(verdict.class, ML_VERDICT_LEAK);
		}
}

static void test_slope_is_the_rate(void **state)
{
	struct ml_verdict verdict;

	run(leak, 60, 1, &verdict);
	assert_true(verdict.growth_bytes_per_s > 8000 && verdict.growth_bytes_per_s < 8400);
	run(leak_after_startup, 60, 1, &verdict);
	assert_true(verdict.growth_bytes_per_s > 8000 && verdict.growth_bytes_per_s < 8400);
}

static void test_leak_is_surer_with_time(void **state)
{
	double before = 0;

	for (int seconds = 6; seconds <= 96; seconds += 10) {
		struct ml_verdict verdict;

		run(leak, seconds, 1, &verdict);
		assert_int_equal(verdict.class, ML_VERDICT_LEAK);
		assert_true(verdict.confidence > before);
		before = verdict.confidence;
	}
}

static void test_unknown_site(void **state)
{
	struct ml_timeline *timeline = ml_timeline_create(0);
	struct ml_verdict verdict;

	ml_verdict_judge(timeline, 23, &verdict);
	assert_int_equal(verdict.class, ML_VERDICT_UNKNOWN);
	assert_true(verdict.confidence == 0);
	assert_string_equal(ml_verdict_name(verdict.class), "unknown");
	ml_timeline_destroy(timeline);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_examples),
		cmocka_unit_test(test_no_false_leak_at_any_time),
		cmocka_unit_test(test_slope_is_the_rate),
		cmocka_unit_test(test_leak_is_surer_with_time),
		cmocka_unit_test(test_unknown_site),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

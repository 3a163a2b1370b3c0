/* SPDX-License-Identifier: BSD-2-Clause */
/** Histories of days and of a month, with a report every 5 seconds or every minute. */
#include "simulation.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define HOUR    3600.0
#define DAY     (24 * HOUR)

#define LEAK    (1u << ML_VERDICT_LEAK)
#define GROWING (1u << ML_VERDICT_GROWING)
#define CACHE   (1u << ML_VERDICT_CACHE)
#define STEADY  (1u << ML_VERDICT_STEADY)
#define STARTUP (1u << ML_VERDICT_STARTUP)
#define BOUNDED (CACHE | STEADY | STARTUP)

/** 0 at night, 1 at noon. */
static double daylight(double t)
{
	return 0.5 - 0.5 * cos(2 * M_PI * t / DAY);
}

/** True once in @p period_s, at @p phase_s. */
static bool is_time(const struct program *p, double t, double period_s, double phase_s)
{
	return fmod(t - phase_s + period_s, period_s) < p->step_s * 0.999;
}

static void leak_a_minute(struct program *p, double t)
{
	if (is_time(p, t, 60, 0))
		allocate(p, 8);
}

/** Frees at random, each block after @p life_s on average; those of 8 bytes stay. */
static void die(struct program *p, double life_s)
{
	for (size_t i = live(p); i-- > 0;)
		if (p->blocks[p->head + i].size != 8 && chance(p) < p->step_s / life_s)
			release(p, i);
}

static void leak_a_minute_in_churn(struct program *p, double t)
{
	leak_a_minute(p, t);
	for (int i = due(p, 0.3 + 0.3 * daylight(t)); i > 0; i--)
		allocate(p, 500);
	die(p, 20);
}

static void leak_after_two_days(struct program *p, double t)
{
	if (t > 2 * DAY)
		leak_a_minute(p, t);
	for (int i = due(p, 0.2); i > 0; i--)
		allocate(p, 500);
	die(p, 100);
}

static void daily_sessions(struct program *p, double t)
{
	for (int i = due(p, 0.02 + 0.2 * daylight(t)); i > 0; i--)
		allocate(p, 2000);
	die(p, 0.5 * HOUR);
}

static void cache_refilled_at_night(struct program *p, double t)
{
	if (is_time(p, t, DAY, 3 * HOUR))
		while (live(p))
			release(p, 0);
	for (int i = due(p, 0.3 * daylight(t) + 0.02); i > 0; i--)
		if (chance(p) > (double)live(p) / 3000)
			allocate(p, 300);
}

static void nightly_job(struct program *p, double t)
{
	if (is_time(p, t, DAY, 2 * HOUR))
		for (int i = 0; i < 2000; i++)
			allocate(p, 300);
	if (is_time(p, t, DAY, 4 * HOUR))
		while (live(p))
			release(p, 0);
}

static void log_rotated_daily(struct program *p, double t)
{
	if (is_time(p, t, DAY, 0))
		while (live(p))
			release(p, 0);
	for (int i = due(p, 0.05); i > 0; i--)
		allocate(p, 128);
}

static void startup_only(struct program *p, double t)
{
	if (t < 60)
		for (int i = due(p, 10); i > 0; i--)
			allocate(p, 4096);
}

static const struct example {
	const char *name;
	step_fn *step;
	double days, step_s, interval_s;
	double known_days, every_s; /**< when verdicts begin to count, and how often one is made */
	unsigned int allowed;
} examples[] = {
	{"8 B/min, half a day, 5 s", leak_a_minute, 0.5, 5, 5, 0.02, 600, LEAK},
	{"8 B/min, a month", leak_a_minute, 30, 60, 900, 1, DAY / 4, LEAK},
	{"8 B/min in churn, 3 days", leak_a_minute_in_churn, 3, 10, 120, 0.2, 3000, LEAK},
	{"8 B/min after two days", leak_after_two_days, 4, 10, 120, 2.5, 3000, LEAK},
	{"daily sessions, two weeks", daily_sessions, 14, 60, 300, 2, HOUR, BOUNDED | GROWING},
	{"cache refilled at night", cache_refilled_at_night, 14, 60, 600, 2, HOUR,
	 BOUNDED | GROWING},
	{"nightly job", nightly_job, 14, 60, 300, 1.5, HOUR, BOUNDED},
	{"log rotated daily", log_rotated_daily, 14, 60, 600, 2, HOUR, BOUNDED},
	{"start-up, a month", startup_only, 30, 60, 900, 0.1, DAY / 4, STARTUP},
};

static bool is_right(const struct example *example)
{
	size_t reports = 0, right = 0, false_leaks = 0;
	struct ml_verdict verdict, wrong = {0};
	struct simulation sim;
	double t, next_s = example->known_days * DAY, wrong_s = 0;

	simulation_begin(&sim, 23, example->step_s, example->interval_s);
	do {
		t = simulation_next(&sim, example->step);
		if (t < next_s)
			continue;
		next_s += example->every_s;
		reports++;
		simulation_judge(&sim, &verdict);
		if (example->allowed >> verdict.class & 1) {
			right++;
			continue;
		}
		false_leaks += verdict.class == ML_VERDICT_LEAK;
		wrong = verdict;
		wrong_s = t;
	} while (t < example->days * DAY);
	simulation_end(&sim);
	printf("# %5.1f %% of %zu, %zu false leaks: %s: %s\n",
	       100 * (double)right / (double)reports, reports, false_leaks, example->name,
	       verdict.why);
	if (right < reports)
		printf("#   after %.1f h %s: %s\n", wrong_s / HOUR, ml_verdict_name(wrong.class),
		       wrong.why);
	return !false_leaks && (double)right >= 0.95 * (double)reports;
}

static void test_long_runs(void **state)
{
	size_t wrong = 0;

	for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++)
		wrong += !is_right(&examples[i]);
	assert_int_equal(wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_long_runs),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

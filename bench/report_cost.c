/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * What one report of many sites costs: report_cost [SITES [FORMAT FILE]].
 *
 * Prints milliseconds of CPU time for the history's step, building and each format; with FORMAT
 * also writes that report. Names are made up (tests/unit/report/fakes.c): symbolization is not part
 * of it.
 */
#include "base/clock.h"
#include "fakes.h"
#include "report/owner.h"
#include "report/summary.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS   5
#define REPORTS  64 /**< as many as the history keeps */
#define MODULES  40
#define INTERVAL (5 * ML_NS_PER_SECOND)
#define START_NS (1000 * ML_NS_PER_SECOND)

struct world {
	struct ml_module modules[MODULES];
	struct ml_stack *stacks;
	size_t sites;
	struct ml_snapshot snapshot;
	struct ml_timeline *timeline;
	struct ml_report report;
	ML_ARRAY(char *) names;
};

/** The same numbers on every run (splitmix64). */
static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ULL;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

static const char *name_of(struct world *world, const char *format, uint64_t number)
{
	static const char *const things[] = {"Session", "Cache", "Parser", "Index", "Socket",
					     "Column",  "Row",   "Plan",   "Queue", "Buffer"};
	static const char *const acts[] = {"load", "insert", "accept", "append",
					   "open", "decode", "handle", "resize"};
	char text[120];

	snprintf(text, sizeof(text), format, things[mix(number) % 10], acts[mix(number + 1) % 8],
		 (unsigned int)(number % 1000));
	*ml_array_push(&world->names) = ml_strdup(text);
	return world->names.items[world->names.count - 1];
}

static void make_modules(struct world *world)
{
	for (size_t i = 0; i < MODULES; i++) {
		struct ml_module *module = &world->modules[i];

		module->name = name_of(world, i ? "lib%s-%s-%u.so" : "server", i);
		module->build_id = "0123456789abcdef0123456789abcdef01234567";
		for (size_t j = 0; j < 16; j++)
			module->functions[j] =
				name_of(world, "server::%s::%s_%u(unsigned long)", 100 * i + j);
	}
}

/** Stacks of 12 to 30 frames that share their outer ones, as those of one program do. */
static void make_stack(struct world *world, uint64_t id)
{
	struct ml_stack *stack = &world->stacks[id];

	*stack = (struct ml_stack){.id = id + 1,
				   .pid = 4711,
				   .end = ML_WALK_COMPLETE,
				   .count = 12 + (uint32_t)(mix(id) % 19)};
	stack->frames = ml_alloc(stack->count * sizeof(*stack->frames));
	for (uint32_t i = 0; i < stack->count; i++) {
		uint32_t from_outside = stack->count - 1 - i;
		uint64_t branch =
			from_outside < 4 ? 0 : id >> (from_outside < 12 ? 14 - from_outside : 0);
		uint64_t place = mix(branch * 64 + from_outside);
		struct ml_module *module = &world->modules[place % MODULES];

		stack->frames[i] = (struct ml_stack_frame){
			.ip = 0x400000 + 0x10000 * (place % MODULES) + (place >> 32) % 0xfff + 1,
			.module = module,
			.address = (place >> 32) % 0xfff + 1,
			.is_call = true,
		};
	}
}

/** One site in a hundred leaks; the others are caches, steady ones and start-up tables. */
static struct ml_site_books books_of(uint64_t id, uint64_t step)
{
	uint64_t size = 16 + mix(id) % 2000, behaviour = id % 100, blocks;
	uint64_t allocs = 50 * (step + 1), steady = 20 + mix(id * 1000 + step) % 10;

	if (behaviour == 7)
		blocks = 3 * (step + 1);
	else if (behaviour == 8)
		blocks = 20 * (step + 1) - (uint64_t)(step * step / 8);
	else if (behaviour < 30)
		blocks = step < 12 ? 10 * (step + 1) : 120;
	else if (behaviour < 60)
		blocks = steady;
	else
		blocks = allocs = 1 + mix(id) % 40;
	if (allocs < blocks)
		allocs = blocks;
	return (struct ml_site_books){
		.stack = id + 1,
		.allocs = allocs,
		.frees = allocs - blocks,
		.alloc_bytes = allocs * size,
		.free_bytes = (allocs - blocks) * size,
		.live_bytes = blocks * size,
		.live_count = blocks,
		.shown_bytes = blocks * size,
		.shown_count = blocks,
		.oldest_born_ns = START_NS + ML_NS_PER_SECOND,
		.newest_born_ns = START_NS + (step + 1) * INTERVAL - ML_NS_PER_SECOND,
	};
}

static void take_snapshot(struct world *world, uint64_t step)
{
	world->snapshot.time_ns = START_NS + (step + 1) * INTERVAL;
	world->snapshot.sites.count = 0;
	world->snapshot.resident_bytes = (200 + step) << 20;
	world->snapshot.allocs = world->snapshot.frees = 0;
	for (uint64_t id = 0; id < world->sites; id++) {
		struct ml_site_books books = books_of(id, step);

		*ml_array_push(&world->snapshot.sites) = books;
		world->snapshot.allocs += books.allocs;
		world->snapshot.frees += books.frees;
	}
	ml_timeline_add(world->timeline, &world->snapshot);
}

static const struct ml_stack *stack_of(void *context, uint64_t id)
{
	struct world *world = context;

	return &world->stacks[id - 1];
}

static void build(struct world *world, size_t named)
{
	const struct ml_report_input input = {.snapshot = &world->snapshot,
					      .timeline = world->timeline,
					      .stack = stack_of,
					      .context = world,
					      .symbolize_limit = named};

	ml_report_deinit(&world->report);
	world->report = (struct ml_report){
		.pid = 4711,
		.comm = "server",
		.exe = "/usr/bin/server",
		.backend = "bpf",
		.time = {.tv_sec = 1769137241},
		.elapsed_s = REPORTS * 5,
		.target_cpu_fraction = 0.021,
		.tool_cpu_s = 1.2,
		.events_per_s = 12000,
		.is_final = true,
		.top = 10,
	};
	ml_report_build(&input, &world->report);
	ml_owners_find(&world->report, NULL);
	ml_summary_make(&world->report);
}

static int compare_doubles(const void *left, const void *right)
{
	double a = *(const double *)left, b = *(const double *)right;

	return (a > b) - (a < b);
}

static double median_ms(double *ms)
{
	qsort(ms, ROUNDS, sizeof(*ms), compare_doubles);
	return ms[ROUNDS / 2];
}

static double ms_since(uint64_t start_ns)
{
	return (double)(ml_clock_ns(CLOCK_PROCESS_CPUTIME_ID) - start_ns) / (double)ML_NS_PER_MS;
}

static void measure_build(struct world *world)
{
	double history_ms[ROUNDS], top_ms[ROUNDS], all_ms[ROUNDS];

	for (uint64_t i = 0; i < ROUNDS; i++) {
		uint64_t start_ns = ml_clock_ns(CLOCK_PROCESS_CPUTIME_ID);

		take_snapshot(world, REPORTS - ROUNDS + i);
		history_ms[i] = ms_since(start_ns);
		start_ns = ml_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
		build(world, 10);
		top_ms[i] = ms_since(start_ns);
		start_ns = ml_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
		build(world, 0);
		all_ms[i] = ms_since(start_ns);
	}
	printf("history    %8.1f ms\nbuild      %8.1f ms, 10 sites named as for the text\n"
	       "build      %8.1f ms, all named\n",
	       median_ms(history_ms), median_ms(top_ms), median_ms(all_ms));
}

static void measure_format(const struct world *world, const char *name)
{
	const struct ml_report_format *format = ml_report_format_named(name);
	double ms[ROUNDS];
	size_t length = 0;

	for (size_t i = 0; i < ROUNDS; i++) {
		uint64_t start_ns = ml_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
		char *text = NULL;
		FILE *out = open_memstream(&text, &length);

		format->write(out, &world->report);
		fclose(out);
		free(text);
		ms[i] = ms_since(start_ns);
	}
	printf("%-10s %8.1f ms %10zu bytes\n", name, median_ms(ms), length);
}

static int write_file(const struct world *world, const char *name, const char *path)
{
	const struct ml_report_format *format = ml_report_format_named(name);
	FILE *out = format ? fopen(path, "w") : NULL;

	if (!out) {
		fprintf(stderr, "cannot write %s to %s: %s\n", name, path, strerror(errno));
		return EXIT_FAILURE;
	}
	format->write(out, &world->report);
	return fclose(out) ? EXIT_FAILURE : EXIT_SUCCESS;
}

static void free_world(struct world *world)
{
	ml_report_deinit(&world->report);
	ml_timeline_destroy(world->timeline);
	ml_snapshot_deinit(&world->snapshot);
	for (size_t i = 0; i < world->sites; i++)
		free(world->stacks[i].frames);
	free(world->stacks);
	ml_array_each (name, &world->names)
		free(*name);
	ml_array_free(&world->names);
}

int main(int argc, char **argv)
{
	static const char *const formats[] = {"text", "json",      "folded", "pprof",
					      "svg",  "heaptrack", "html"};
	struct world world = {.sites = argc > 1 ? strtoul(argv[1], NULL, 10) : 10000};
	int status = EXIT_SUCCESS;

	world.timeline = ml_timeline_create(START_NS);
	world.stacks = ml_alloc((world.sites + 1) * sizeof(*world.stacks));
	make_modules(&world);
	for (uint64_t id = 0; id < world.sites; id++)
		make_stack(&world, id);
	for (uint64_t step = 0; step < REPORTS - ROUNDS; step++)
		take_snapshot(&world, step);
	measure_build(&world);
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
		measure_format(&world, formats[i]);
	if (argc > 3)
		status = write_file(&world, argv[2], argv[3]);
	free_world(&world);
	return status;
}

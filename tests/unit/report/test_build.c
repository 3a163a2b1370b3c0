/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/clock.h"
#include "fakes.h"
#include "report/groups.h"
#include "report/report.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define NOW_NS (1000 * ML_NS_PER_SECOND)

static struct ml_module app = {
	.name = "app",
	.build_id = "0badcafe",
	.functions = {"zero", "main", "fibonacci", "<owner", "worker"},
};
static struct ml_module libc = {.name = "libc.so.6", .functions = {"malloc", "_Znwm", "strdup"}};

/** Stacks by id, and the books a test fills. */
struct fixture {
	struct ml_stack stacks[16];
	struct ml_stack_frame frames[16][8];
	struct ml_snapshot snapshot;
	struct ml_timeline *timeline;
	struct ml_report report;
};

static const struct ml_stack *stack_of(void *context, uint64_t id)
{
	struct fixture *fixture = context;

	return id < 16 && fixture->stacks[id].count ? &fixture->stacks[id] : NULL;
}

static const char *comm_of(void *context, pid_t pid)
{
	return pid == 23 ? "first" : "second";
}

static pid_t inner_pid_of(void *context, pid_t pid)
{
	return pid == 23 ? 1 : pid;
}

/** Frames of stack @p id: pairs of module and address, ended by a NULL module. */
static void set_stack(struct fixture *fixture, uint64_t id, pid_t pid, ...)
{
	struct ml_stack *stack = &fixture->stacks[id];
	va_list args;

	*stack = (struct ml_stack){
		.id = id, .pid = pid, .end = ML_WALK_COMPLETE, .frames = fixture->frames[id]};
	va_start(args, pid);
	for (;;) {
		struct ml_module *module = va_arg(args, struct ml_module *);

		if (!module)
			break;
		uint64_t address = va_arg(args, int);

		fixture->frames[id][stack->count++] = (struct ml_stack_frame){
			.ip = (module == &app ? 0x400000 : 0x7f0000) + address,
			.module = module,
			.address = address,
			.is_call = true,
		};
	}
	va_end(args);
}

static void add_site(struct fixture *fixture, uint64_t id, uint64_t bytes, uint64_t count)
{
	*ml_array_push(&fixture->snapshot.sites) = (struct ml_site_books){
		.stack = id,
		.allocs = count + 1,
		.frees = 1,
		.live_bytes = bytes,
		.live_count = count,
		.shown_bytes = bytes,
		.shown_count = count,
		.oldest_born_ns = NOW_NS - id * ML_NS_PER_SECOND,
		.newest_born_ns = NOW_NS - ML_NS_PER_SECOND / 2,
	};
}

static void build(struct fixture *fixture, enum ml_report_sort sort, size_t limit)
{
	const struct ml_report_input input = {
		.snapshot = &fixture->snapshot,
		.timeline = fixture->timeline,
		.stack = stack_of,
		.comm = comm_of,
		.inner_pid = inner_pid_of,
		.context = fixture,
		.sort = sort,
		.symbolize_limit = limit,
	};

	ml_timeline_add(fixture->timeline, &fixture->snapshot);
	ml_report_build(&input, &fixture->report);
}

static int set_up(void **state)
{
	struct fixture *fixture = ml_alloc(sizeof(*fixture));

	fixture->snapshot.time_ns = NOW_NS;
	fixture->timeline = ml_timeline_create(NOW_NS - 10 * ML_NS_PER_SECOND);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	ml_report_deinit(&fixture->report);
	ml_timeline_destroy(fixture->timeline);
	ml_snapshot_deinit(&fixture->snapshot);
	free(fixture);
	return 0;
}

static void test_sorts_and_sums(void **state)
{
	struct fixture *fixture = *state;
	const struct ml_report *report = &fixture->report;

	set_stack(fixture, 1, 23, &app, 0x210, &app, 0x110, NULL);
	set_stack(fixture, 2, 23, &app, 0x220, &app, 0x110, NULL);
	set_stack(fixture, 3, 23, &app, 0x230, &app, 0x110, NULL);
	add_site(fixture, 1, 100, 7);
	add_site(fixture, 2, 300, 3);
	add_site(fixture, 3, 100, 11);
	add_site(fixture, 4, 0, 0); /* nothing to show */
	build(fixture, ML_SORT_SIZE, 0);
	assert_int_equal(report->sites.count, 3);
	assert_int_equal(report->sites.items[0].id, 2);
	assert_int_equal(report->sites.items[1].id, 3);
	assert_int_equal(report->sites.items[2].id, 1);
	assert_int_equal(report->outstanding_bytes, 500);
	assert_int_equal(report->outstanding_count, 21);
	assert_int_equal(report->sites.items[0].oldest_ms, 2000);
	assert_int_equal(report->sites.items[0].newest_ms, 500);
	assert_string_equal(report->sites.items[0].comm, "first");
	assert_int_equal(report->sites.items[0].verdict.class, ML_VERDICT_UNKNOWN);
	ml_report_deinit(&fixture->report);
	build(fixture, ML_SORT_COUNT, 0);
	assert_int_equal(report->sites.items[0].id, 3);
	assert_int_equal(report->outstanding_bytes, 500);
}

static void test_drops_the_allocator_and_merges(void **state)
{
	struct fixture *fixture = *state;
	const struct ml_report_site *site;

	set_stack(fixture, 1, 23, &libc, 0x10, &libc, 0x110, &app, 0x210, NULL);
	set_stack(fixture, 2, 23, &libc, 0x120, &app, 0x210, NULL);
	set_stack(fixture, 3, 24, &app, 0x210, NULL);               /* another process */
	set_stack(fixture, 4, 23, &libc, 0x210, &app, 0x210, NULL); /* strdup stays */
	set_stack(fixture, 5, 23, &libc, 0x10, NULL);               /* never all frames */
	for (uint64_t id = 1; id <= 5; id++)
		add_site(fixture, id, 100 * id, id);
	build(fixture, ML_SORT_SIZE, 0);
	assert_int_equal(fixture->report.sites.count, 4);
	assert_int_equal(fixture->report.outstanding_bytes, 1500);

	site = &fixture->report.sites.items[2]; /* 300 bytes like site 3, the lower id */
	assert_int_equal(site->id, 2);          /* the bigger of 1 and 2 */
	assert_int_equal(site->bytes, 300);
	assert_int_equal(site->count, 3);
	assert_int_equal(site->allocs, 5);
	assert_int_equal(site->frees, 2);
	assert_int_equal(site->oldest_ms, 2000);
	assert_int_equal(site->frames.count, 1);
	assert_string_equal(site->frames.items[0].symbol, "fibonacci");
	assert_int_equal(site->frames.items[0].offset, 0x10);
	assert_string_equal(site->frames.items[0].module, "app");
	assert_string_equal(site->frames.items[0].build_id, "0badcafe");
	assert_string_equal(fixture->report.sites.items[0].frames.items[0].symbol, "malloc");
	assert_string_equal(fixture->report.sites.items[1].frames.items[0].symbol, "strdup");
	assert_int_equal(fixture->report.sites.items[3].pid, 24);
}

static void test_expands_inlined_frames(void **state)
{
	struct fixture *fixture = *state;
	const struct ml_report_site *site;

	set_stack(fixture, 1, 23, &app, 0x310, &app, 0x320, NULL);
	add_site(fixture, 1, 100, 7);
	build(fixture, ML_SORT_SIZE, 0);
	site = &fixture->report.sites.items[0];
	/* malloc inlined at the front is dropped, further out it is not. */
	assert_int_equal(site->frames.count, 5);
	assert_string_equal(site->frames.items[0].symbol, "inlined_one");
	assert_true(site->frames.items[0].is_inlined);
	assert_int_equal(site->frames.items[0].line, 23);
	assert_string_equal(site->frames.items[1].symbol, "owner");
	assert_false(site->frames.items[1].is_inlined);
	assert_string_equal(site->frames.items[2].symbol, "malloc");
	assert_int_equal(site->frames.items[1].ip, site->frames.items[0].ip);
}

static void test_unknown_frames_and_lost_stacks(void **state)
{
	struct fixture *fixture = *state;
	const struct ml_report_site *site;

	set_stack(fixture, 1, 23, &app, 0x900, NULL);
	fixture->frames[1][1] = (struct ml_stack_frame){.ip = 0x7fff0000, .kind = ML_FRAME_JIT};
	fixture->frames[1][2] = (struct ml_stack_frame){.ip = 0x7fff0023};
	fixture->stacks[1].count = 3;
	add_site(fixture, 1, 100, 7);
	add_site(fixture, 9, 50, 5);
	build(fixture, ML_SORT_SIZE, 0);
	site = &fixture->report.sites.items[0];
	assert_null(site->frames.items[0].symbol);
	assert_int_equal(site->frames.items[0].offset, 0x900);
	assert_string_equal(site->frames.items[1].symbol, "jitted");
	assert_string_equal(site->frames.items[1].module, "jit");
	assert_null(site->frames.items[2].symbol);
	assert_int_equal(site->frames.items[2].offset, 0x7fff0023);
	assert_string_equal(site->frames.items[2].module, "unknown");
	assert_true(fixture->report.sites.items[1].is_stack_lost);
	assert_int_equal(fixture->report.sites.items[1].frames.count, 0);
	assert_int_equal(fixture->report.counters[ML_COUNTER_STACKS_LOST], 5);
	assert_int_equal(fixture->report.counters[ML_COUNTER_FRAMES_UNSYMBOLIZED], 2);
}

/* A libc without symbols: its private frames at the outer end are known by their place. */
static void test_outer_frames_of_libc(void **state)
{
	struct fixture *fixture = *state;

	set_stack(fixture, 1, 23, &app, 0x210, &libc, 0x520, &libc, 0x610, NULL);
	set_stack(fixture, 2, 23, &app, 0x110, &libc, 0x530, &libc, 0x740, &app, 0x501, NULL);
	add_site(fixture, 1, 200, 1);
	add_site(fixture, 2, 100, 1);
	libc.functions[7] = "__libc_start_main";
	build(fixture, ML_SORT_SIZE, 0);
	libc.functions[7] = NULL;

	const struct ml_report_frame *thread = fixture->report.sites.items[0].frames.items;
	const struct ml_report_frame *start = fixture->report.sites.items[1].frames.items;

	assert_string_equal(thread[1].symbol, "start_thread");
	assert_int_equal(thread[1].offset, 0x20);
	assert_string_equal(thread[2].symbol, "clone3");
	assert_string_equal(start[1].symbol, "__libc_start_call_main");
	assert_int_equal(start[1].offset, 0x30);
	/* _start of the program has no name and is not libc's to give one. */
	assert_null(start[3].symbol);
	assert_int_equal(fixture->report.counters[ML_COUNTER_FRAMES_UNSYMBOLIZED], 1);
}

static void test_kernel_stack(void **state)
{
	struct fixture *fixture = *state;
	const struct ml_report_site *site;

	fixture->frames[1][0] =
		(struct ml_stack_frame){.ip = 0xffffffff81000001, .kind = ML_FRAME_KERNEL};
	fixture->frames[1][1] =
		(struct ml_stack_frame){.ip = 0xffffffff81000023, .kind = ML_FRAME_KERNEL};
	fixture->stacks[1] = (struct ml_stack){
		.id = 1, .end = ML_WALK_COMPLETE, .count = 2, .frames = fixture->frames[1]};
	add_site(fixture, 1, 100, 7);
	build(fixture, ML_SORT_SIZE, 0);
	site = &fixture->report.sites.items[0];
	assert_int_equal(site->frames.count, 2);
	assert_string_equal(site->frames.items[0].symbol, "alloc_thing");
	assert_int_equal(site->frames.items[1].offset, 0x23);
	assert_string_equal(site->frames.items[0].module, "kernel");
	assert_null(site->comm);
}

static void test_blocks(void **state)
{
	struct fixture *fixture = *state;
	const struct ml_report_site *site;

	set_stack(fixture, 1, 23, &libc, 0x110, &app, 0x210, NULL);
	set_stack(fixture, 2, 23, &libc, 0x120, &app, 0x210, NULL);
	add_site(fixture, 1, 100, 1);
	add_site(fixture, 2, 23, 1);
	for (uint64_t i = 1; i <= 3; i++)
		*ml_array_push(&fixture->snapshot.blocks) = (struct ml_block){
			.address = 0x1000 * i, .size = i, .stack = i, .born_ns = NOW_NS - i};
	build(fixture, ML_SORT_SIZE, 0);
	site = &fixture->report.sites.items[0];
	assert_int_equal(fixture->report.sites.count, 1);
	assert_int_equal(site->blocks.count, 2); /* of both merged stacks; stack 3 is not shown */
	assert_int_equal(site->blocks.items[0].address, 0x2000);
	assert_int_equal(site->blocks.items[1].address, 0x1000);
}

/** Sites that are merged have one history: what each had at the moments of the sum's. */
static void test_history(void **state)
{
	struct fixture *fixture = *state;
	const struct ml_report_site *site;

	set_stack(fixture, 1, 23, &libc, 0x110, &app, 0x210, NULL);
	set_stack(fixture, 2, 23, &libc, 0x120, &app, 0x210, NULL);
	set_stack(fixture, 3, 23, &app, 0x110, NULL);
	for (uint64_t i = 1; i <= 3; i++) {
		fixture->snapshot.time_ns = NOW_NS + i * ML_NS_PER_SECOND;
		fixture->snapshot.resident_bytes = i == 2 ? 0 : i << 20;
		fixture->snapshot.sites.count = 0;
		add_site(fixture, 1, 1000 * i, i);
		if (i >= 2)
			add_site(fixture, 2, 10 * i, 1);
		if (i == 3)
			add_site(fixture, 3, 7, 1);
		ml_report_deinit(&fixture->report);
		build(fixture, ML_SORT_SIZE, 0);
	}
	assert_int_equal(fixture->report.start_ns, NOW_NS - 10 * ML_NS_PER_SECOND);
	assert_int_equal(fixture->report.points.count, 3);
	assert_int_equal(fixture->report.points.items[0].live_bytes, 1000);
	assert_int_equal(fixture->report.points.items[2].live_bytes, 3037);
	assert_int_equal(fixture->report.resident.count, 2); /* not known the second time */
	assert_int_equal(fixture->report.resident.items[1].live_bytes, 3 << 20);
	site = &fixture->report.sites.items[0];
	assert_int_equal(site->points.count, 3);
	assert_int_equal(site->points.items[0].live_bytes, 1000);
	assert_int_equal(site->points.items[1].live_bytes, 2020);
	assert_int_equal(site->points.items[1].live_count, 3);
	assert_int_equal(site->points.items[2].live_bytes, 3030);
	assert_int_equal(site->points.items[2].time_ns, NOW_NS + 3 * ML_NS_PER_SECOND);
	assert_int_equal(site->points.items[2].allocs, 6);
	site = &fixture->report.sites.items[1];
	assert_int_equal(site->points.count, 2); /* it had nothing at the moment before its first */
	assert_int_equal(site->points.items[0].live_bytes, 0);
	assert_int_equal(site->points.items[1].live_bytes, 7);
}

/** Many sites cost little: names of functions once an address, lines only for those shown. */
static void test_many_sites(void **state)
{
	struct fixture *fixture = *state;

	set_stack(fixture, 1, 23, &libc, 0x110, &app, 0x210, &app, 0x410, NULL);
	for (uint64_t i = 0; i < 10007; i++)
		add_site(fixture, i % 2 ? 1 : 100 + i, i, 1);
	fake_symbol_lookups = fake_line_lookups = 0;

	uint64_t start_ns = ml_monotonic_ns();

	build(fixture, ML_SORT_SIZE, 10);
	printf("# 10007 sites: %.1f ms\n", (double)(ml_monotonic_ns() - start_ns) / 1e6);
	assert_int_equal(fixture->report.sites.count, 1 + 5004);
	assert_int_equal(fake_symbol_lookups, 2);
	assert_true(fake_line_lookups <= 2);
	assert_int_equal(fixture->report.outstanding_bytes, 10007ULL * 10006 / 2);
}

/** The same calls in several processes are one thing to show, and what is named first. */
static void test_groups_of_processes(void **state)
{
	struct fixture *fixture = *state;
	struct ml_report *report = &fixture->report;
	const struct ml_report_group *group;
	struct ml_report_groups groups;

	/* Three workers at other addresses, and three stacks that are each bigger than theirs. */
	for (uint64_t id = 1; id <= 3; id++) {
		set_stack(fixture, id, 20 + (pid_t)id, &app, 0x210, &app, 0x110, NULL);
		fixture->frames[id][0].ip += id << 20;
		add_site(fixture, id, 100 + id, 1);
		set_stack(fixture, 3 + id, 30, &app, 0x300 + 0x10 * (int)id, NULL);
		add_site(fixture, 3 + id, 200 + id, 5);
	}
	report->is_many_processes = true;
	build(fixture, ML_SORT_SIZE, 2);
	assert_int_equal(report->sites.count, 6);

	ml_report_groups_make(report, &groups);
	assert_int_equal(groups.list.count, 4);
	group = &groups.list.items[0];
	assert_int_equal(group->sites, 3);
	assert_int_equal(group->bytes, 306);
	assert_int_equal(group->count, 3);
	assert_int_equal(report->sites.items[group->first].pid, 23);
	assert_int_equal(report->sites.items[group->first].frames.count, 2);
	assert_int_equal(groups.list.items[1].bytes, 203);
	assert_int_equal(groups.list.items[3].bytes, 201);
	assert_int_equal(report->sites.items[groups.list.items[3].first].frames.count, 0);
	ml_report_groups_free(&groups);

	report->is_many_processes = false;
	ml_report_groups_make(report, &groups);
	assert_int_equal(groups.list.count, 6);
	ml_report_groups_free(&groups);
}

/** Other calls, and stacks that end otherwise, are others. */
static void test_calls(void **state)
{
	struct fixture *fixture = *state;
	uint64_t calls;

	set_stack(fixture, 1, 23, &libc, 0x110, &app, 0x210, NULL);
	set_stack(fixture, 2, 24, &app, 0x210, NULL);
	set_stack(fixture, 3, 24, &app, 0x211, NULL);
	set_stack(fixture, 4, 24, &libc, 0x210, NULL);
	calls = ml_report_calls(&fixture->stacks[1], 1);
	assert_int_equal(calls, ml_report_calls(&fixture->stacks[2], 0));
	assert_int_not_equal(calls, ml_report_calls(&fixture->stacks[1], 0));
	assert_int_not_equal(calls, ml_report_calls(&fixture->stacks[3], 0));
	assert_int_not_equal(calls, ml_report_calls(&fixture->stacks[4], 0));
	fixture->stacks[2].end = ML_WALK_FAULT;
	assert_int_not_equal(calls, ml_report_calls(&fixture->stacks[2], 0));
}

static void counts_one_and_many(void **state)
{
	static const struct {
		enum ml_counter counter;
		uint64_t number;
		const char *text;
	} cases[] = {
		{ML_COUNTER_PROCESSES_UNSEEN, 1, "1 process not traced, "},
		{ML_COUNTER_PROCESSES_UNSEEN, 2, "2 processes not traced, "},
		{ML_COUNTER_FRAMES_UNSYMBOLIZED, 1, "1 frame without a symbol"},
		{ML_COUNTER_STACKS_DEPTH, 1, "1 stack cut at the depth limit"},
		{ML_COUNTER_LIVE_TABLE_FULL, 1, "1 allocation not kept: the table"},
		{ML_COUNTER_MODULES_UNREADABLE, 1, "1 mapped file that could not"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ML_STRBUF_CLEANUP struct ml_strbuf text = {0};

		ml_report_add_caveat(&text, cases[i].counter, cases[i].number);
		assert_memory_equal(ml_strbuf_text(&text), cases[i].text, strlen(cases[i].text));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_one_and_many),
		cmocka_unit_test_setup_teardown(test_sorts_and_sums, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_drops_the_allocator_and_merges, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_expands_inlined_frames, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_unknown_frames_and_lost_stacks, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_outer_frames_of_libc, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_kernel_stack, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_blocks, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_history, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_groups_of_processes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_calls, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_many_sites, set_up, tear_down),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "run.h"

#include "fakes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

static struct ml_module app = {
	.name = "app",
	.build_id = "0badcafe",
	.functions = {"zero", "main", "fibonacci", "<owner", "evil\x1b[2J\n\"name"},
};
static struct ml_module libc = {.name = "libc.so.6", .functions = {"malloc", "_Znwm", NULL}};
static const struct ml_frame_name python_name = {"Handler.get", "/srv/app.py", 42};

static const struct ml_stack *stack_of(void *context, uint64_t id)
{
	struct run *run = context;

	return id < RUN_STACKS && run->stacks[id].count ? &run->stacks[id] : NULL;
}

static const char *comm_of(void *context, pid_t pid)
{
	return pid == 23 ? "first" : "second";
}

static pid_t inner_pid_of(void *context, pid_t pid)
{
	return pid == 23 ? 1 : pid;
}

static struct ml_stack_frame *add_frame(struct run *run, uint64_t id, struct ml_module *module,
					uint64_t address)
{
	struct ml_stack *stack = &run->stacks[id];
	struct ml_stack_frame *frame = &run->frames[id][stack->count++];

	*frame = (struct ml_stack_frame){
		.ip = (module == &app ? 0x400000 : 0x7f0000) + address,
		.module = module,
		.address = address,
		.is_call = true,
	};
	return frame;
}

static void make_stacks(struct run *run)
{
	for (uint64_t id = 1; id < RUN_STACKS; id++)
		run->stacks[id] = (struct ml_stack){
			.id = id, .pid = 23, .end = ML_WALK_COMPLETE, .frames = run->frames[id]};
	add_frame(run, 1, &libc, 0x20); /* malloc: the allocator's own */
	add_frame(run, 1, &app, 0x210);
	add_frame(run, 1, &app, 0x110);
	add_frame(run, 2, &libc, 0x120); /* operator new: the same site as stack 1 */
	add_frame(run, 2, &app, 0x210);
	add_frame(run, 2, &app, 0x110);
	add_frame(run, 3, &app, 0x310); /* inlined calls in front */
	add_frame(run, 3, &app, 0x410);
	run->stacks[3].end = ML_WALK_DEPTH;
	add_frame(run, 4, NULL, 0)->kind = ML_FRAME_JIT;
	add_frame(run, 4, NULL, 0x10);   /* in nothing that was mapped */
	add_frame(run, 4, &libc, 0x210); /* without a name */
	run->stacks[4].pid = 42;
	run->stacks[4].end = ML_WALK_NO_UNWIND_INFO;
	add_frame(run, 5, NULL, 0x20)->kind = ML_FRAME_PYTHON;
	run->frames[5][0].name = &python_name;
	add_frame(run, 5, &app, 0x120)->is_interpreter = true;
	add_frame(run, 6, NULL, 0x33)->kind = ML_FRAME_KERNEL;
	add_frame(run, 7, &app, 0x220);
	/* 8 was lost */
}

/* The books of stack @id at the moment: each behaves in a way of its own. */
static struct ml_site_books books_of(const struct run *run, uint64_t id)
{
	uint64_t n = run->moment, now_ns = run->snapshot.time_ns;
	uint64_t count = id == 3 ? 5 : id == 5 ? n % 3 : id * (n + 1);
	struct ml_site_books books = {
		.stack = id,
		.allocs = count + 10 * n,
		.frees = 10 * n,
		.live_count = count,
		.live_bytes = 101 * count,
		.shown_count = count,
		.shown_bytes = 101 * count,
		.oldest_born_ns = count ? RUN_START_NS + id : 0,
		.newest_born_ns = count ? now_ns - id * ML_NS_PER_MS : 0,
	};

	books.alloc_bytes = 101 * books.allocs;
	books.free_bytes = 101 * books.frees;
	return books;
}

static void make_books(struct run *run)
{
	struct ml_snapshot *snapshot = &run->snapshot;

	snapshot->sites.count = snapshot->blocks.count = 0;
	snapshot->time_ns = RUN_START_NS + (run->moment + 1) * ML_NS_PER_SECOND;
	for (uint64_t id = 1; id <= 8; id++) {
		/* Stack 7 comes late, goes for a while and comes back. */
		if (id == 7 && (run->moment < 3 || run->moment == 6))
			continue;
		*ml_array_push(&snapshot->sites) = books_of(run, id);
	}
	for (uint64_t i = run->moment; run->want_blocks && i < 2 * run->moment + 2; i++)
		*ml_array_push(&snapshot->blocks) = (struct ml_block){
			.address = 0x1000 - 16 * (i % 31),
			.size = 101,
			.stack = 1 + i % 3,
			.born_ns = RUN_START_NS + i * ML_NS_PER_SECOND / 2,
			.pid = 23,
			.tid = 24,
		};
	snapshot->allocs = 100 * run->moment;
	snapshot->frees = 10 * run->moment;
	snapshot->untracked_frees = run->moment / 2;
	snapshot->resident_bytes = 4096 * run->moment;
	snapshot->counters[ML_COUNTER_STACKS_DEPTH] = run->moment;
}

static void fill_head(const struct run *run, struct ml_report *report)
{
	*report = (struct ml_report){
		.pid = 23,
		.comm = "first",
		.exe = "/usr/bin/app",
		.backend = "bpf",
		.sampling_n = 1,
		.time = {.tv_sec = 1769137241 + (time_t)run->moment, .tv_nsec = 23456789},
		.utc_offset_s = 3600,
		.now_ns = run->snapshot.time_ns,
		.elapsed_s = 1.0 + run->moment,
		.is_final = run->moment == RUN_MOMENTS - 1,
		.end_reason = run->moment == RUN_MOMENTS - 1 ? "the target ended" : NULL,
		.target_cpu_fraction = 0.01 * run->moment,
		.tool_cpu_s = 0.1 * run->moment,
		.events_per_s = 1.5,
		.top = 5,
		.show_blocks = run->want_blocks,
		.is_many_processes = run->many_processes,
	};
	if (run->moment == 5)
		ml_report_note(report, "a note of the run");
}

char *run_render(const struct ml_report_format *format, const struct ml_report *report)
{
	char *text = NULL;
	size_t length;
	FILE *memory = open_memstream(&text, &length);

	format->write(memory, report);
	fclose(memory);
	return text;
}

static void make_moment(struct run *run)
{
	struct ml_report_input input = {
		.snapshot = &run->snapshot,
		.timeline = run->timeline,
		.stack = stack_of,
		.comm = comm_of,
		.inner_pid = inner_pid_of,
		.context = run,
	};
	struct ml_report report;

	make_books(run);
	ml_timeline_add(run->timeline, &run->snapshot);
	fill_head(run, &report);
	ml_report_build(&input, &report);
	ml_recorder_add(run->recorder,
			&(struct ml_recorded_moment){.input = &input,
						     .report = &report,
						     .mark = run->moment == RUN_MARK_AT},
			&run->bytes);
	run->ends[run->moment] = run->bytes.length;
	run->texts[run->moment] = run_render(&ml_report_text, &report);
	run->jsons[run->moment] = run_render(&ml_report_json, &report);
	ml_report_deinit(&report);
}

void run_make(struct run *run, bool many_processes, bool want_blocks)
{
	*run = (struct run){
		.many_processes = many_processes,
		.want_blocks = want_blocks,
		.timeline = ml_timeline_create(RUN_START_NS),
	};
	run->recorder = ml_recorder_create(&run->bytes);
	make_stacks(run);
	for (; run->moment < RUN_MOMENTS; run->moment++)
		make_moment(run);
	ml_recorder_end(run->recorder, &run->bytes);
}

void run_free(struct run *run)
{
	for (unsigned int i = 0; i < RUN_MOMENTS; i++) {
		free(run->texts[i]);
		free(run->jsons[i]);
	}
	ml_snapshot_deinit(&run->snapshot);
	ml_timeline_destroy(run->timeline);
	ml_recorder_destroy(run->recorder);
	ml_strbuf_free(&run->bytes);
}

struct ml_error *run_open(const void *bytes, size_t size, struct ml_record_budget budget,
			  struct ml_recording **out)
{
	int fd = memfd_create("recording", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, size), size);
	lseek(fd, 0, SEEK_SET);
	return ml_recording_open(fd, "run.ml", budget, out);
}

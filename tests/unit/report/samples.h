/* SPDX-License-Identifier: BSD-2-Clause */
/** Reports made by hand, one for each of the golden files. */
#ifndef ML_TEST_REPORT_SAMPLES_H
#define ML_TEST_REPORT_SAMPLES_H

#include "report/summary.h"

#include <math.h>
#include <string.h>

/* 2026-01-23 03:00:41.023 UTC */
#define SAMPLE_TIME ((struct timespec){.tv_sec = 1769137241, .tv_nsec = 23456789})

static inline struct ml_report sample_base(void)
{
	return (struct ml_report){
		.pid = 12512,
		.comm = "app",
		.exe = "/usr/bin/app",
		.backend = "bpf",
		.time = SAMPLE_TIME,
		.now_ns = 100000000000ULL,
		.elapsed_s = 10.023,
		.target_cpu_fraction = -1,
		.top = 10,
	};
}

static inline struct ml_report_site *sample_site(struct ml_report *report, uint64_t id,
						 uint64_t bytes, uint64_t count)
{
	struct ml_report_site *site = ml_array_push(&report->sites);

	*site = (struct ml_report_site){
		.id = id,
		.pid = report->pid,
		.comm = report->comm,
		.bytes = bytes,
		.count = count,
		.allocs = count + 23,
		.frees = 23,
		.oldest_ms = 9023,
		.newest_ms = 523,
		.end = ML_WALK_COMPLETE,
		.verdict = {.why = "only 1 report so far: watch 3 s longer"},
	};
	report->outstanding_bytes += bytes;
	report->outstanding_count += count;
	return site;
}

static inline void sample_frame(struct ml_report_site *site, const char *symbol, uint64_t offset,
				const char *file, int line, bool is_inlined)
{
	*ml_array_push(&site->frames) = (struct ml_report_frame){
		.ip = 0x401100 + offset,
		.symbol = symbol,
		.short_symbol = symbol,
		.offset = offset,
		.module = "app",
		.build_id = "0badcafe",
		.file = file,
		.line = line,
		.is_inlined = is_inlined,
	};
}

static inline void sample_verdict(struct ml_report_site *site, enum ml_verdict_class class,
				  double confidence, double growth, const char *why)
{
	site->verdict = (struct ml_verdict){
		.class = class, .confidence = confidence, .growth_bytes_per_s = growth};
	snprintf(site->verdict.why, sizeof(site->verdict.why), "%s", why);
}

/** The site with names made to do harm, and the one without a stack. */
static inline void sample_hostile(struct ml_report *report)
{
	struct ml_report_site *site = sample_site(report, 0xffffffffffffffff, 101, 1);

	sample_frame(site, "evil;\x1b[2J\n\"quote\\\xff\xc2\x9b", 0x5, "/src/\x07.c", 1, false);
	sample_frame(site, "caf\xc3\xa9\xed\xa0\x80\xf4\x90\x80\x80", 0x6, NULL, 0, false);
	site->frames.items[0].module = "li\tb.so";
	site->end = ML_WALK_NO_UNWIND_INFO;
	sample_verdict(site, ML_VERDICT_STARTUP, 1, NAN, "");
	site = sample_site(report, 0x17, 23, 1);
	site->is_stack_lost = true;
	site->end = ML_WALK_MORE;
	site->oldest_ms = site->newest_ms = -1;
}

static inline struct ml_report sample_leak(void)
{
	struct ml_report report = sample_base();
	struct ml_report_site *site = sample_site(&report, 0xabcdef0123456789, 40960, 5);

	report.allocs = 1234;
	report.frees = 1127;
	report.untracked_frees = 37;
	report.target_cpu_fraction = 0.0123;
	report.tool_cpu_s = 0.25;
	report.events_per_s = 2360.5;
	report.show_blocks = true;
	report.counters[ML_COUNTER_STACKS_LOST] = 1;
	report.counters[ML_COUNTER_STACKS_DEPTH] = 101;
	sample_frame(site, "fibonacci", 0x1f, "/src/app.c", 9, false);
	sample_frame(site, "step", 0, "/src/app.h", 5, true);
	sample_frame(site, "child", 0x4f, "/src/app.c", 21, false);
	sample_frame(site, NULL, 0x94ac3, NULL, 0, false);
	sample_frame(site, "start_thread", 0xdb, NULL, 0, false);
	site->frames.items[3].module = site->frames.items[4].module = "libc.so.6";
	site->frames.items[3].build_id = NULL;
	sample_verdict(site, ML_VERDICT_LEAK, 0.93, 8192,
		       "every one of the 5 blocks of the last 5.0 s is still there; grows by 8.0 "
		       "KiB/s");
	site->owner = 1;
	report.limit = (struct ml_memory_limit){ML_LIMIT_CGROUP, 512 << 20, 40 << 20};
	for (uint64_t i = 0; i < 2; i++)
		*ml_array_push(&site->blocks) = (struct ml_block){
			.address = 0x7f8f70863220 + i * 0x2010,
			.size = 8192,
			.born_ns = report.now_ns - 9023000000ULL + i,
			.pid = 12512,
			.tid = 12513,
		};
	site = sample_site(&report, 0x1, 8191, 101);
	sample_frame(site, "deep", 0x10, "/src/app.c", 40, false);
	site->end = ML_WALK_DEPTH;
	sample_verdict(site, ML_VERDICT_CACHE, 0.5, 0.25, "stays at 8.0 KiB");
	sample_hostile(&report);
	ml_summary_make(&report);
	return report;
}

static inline struct ml_report sample_kernel(void)
{
	struct ml_report report = sample_base();

	report.is_kernel = true;
	report.pid = 0;
	report.comm = report.exe = NULL;
	report.backend = "kernel";
	report.sampling = ML_SAMPLING_NTH;
	report.sampling_n = 23;
	report.untracked_frees = 5;
	report.top = 1;
	report.is_limited = true;
	for (uint64_t i = 0; i < 3; i++) {
		struct ml_report_site *site = sample_site(&report, 0x100 + i, 4096 - 23 * i, 1);

		sample_frame(site, "alloc_thing", 0x23, NULL, 0, false);
		site->frames.items[0].kind = ML_FRAME_KERNEL;
		site->frames.items[0].ip = 0xffffffff81000023;
		site->frames.items[0].module = "kernel";
		site->frames.items[0].build_id = NULL;
		site->end = ML_WALK_FAULT;
	}
	return report;
}

static inline struct ml_report sample_processes(void)
{
	struct ml_report report = sample_base();
	struct ml_report_site *site;

	report.is_many_processes = true;
	report.is_final = true;
	report.end_reason = "the target ended with status 0";
	report.container = "web-1";
	report.sampling = ML_SAMPLING_BYTES;
	report.sampling_n = 524288;
	site = sample_site(&report, 0x1, 1 << 20, 2);
	sample_frame(site, "handle", 0x11, "worker.py", 101, false);
	site->frames.items[0].kind = ML_FRAME_PYTHON;
	site->comm = "work;er\x1b";
	sample_verdict(site, ML_VERDICT_GROWING, 0.61, 1e6, "grows by 976.6 KiB/s");
	site = sample_site(&report, 0x2, 1 << 10, 1);
	sample_frame(site, "handle", 0x11, "/src/worker.c", 101, false);
	site->pid = 12513;
	site->comm = NULL;
	sample_verdict(site, ML_VERDICT_STEADY, 0.7, -1.5, "what is allocated is freed");
	return report;
}

static inline struct ml_report sample_empty(void)
{
	return sample_base();
}

#endif

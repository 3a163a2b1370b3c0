/* SPDX-License-Identifier: BSD-2-Clause */
/** One JSON document a line, schema "memleak/1", kind "trace". docs/FORMAT.md describes it. */
#include "report/json.h"

#include "base/clock.h"

#include <stdlib.h>

void ml_report_json_begin(struct ml_json *json, const char *kind)
{
	ml_json_string(json, "schema", "memleak/1");
	ml_json_string(json, "kind", kind);
}

/** RFC 3339 with milliseconds and the local offset. */
void ml_report_json_time(struct ml_json *json, const struct ml_report *report)
{
	char date[40], text[96];
	struct tm local = ml_report_local_time(report);

	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &local);

	long minutes = report->utc_offset_s / 60;

	snprintf(text, sizeof(text), "%s.%03ld%c%02ld:%02ld", date, report->time.tv_nsec / 1000000,
		 minutes < 0 ? '-' : '+', labs(minutes) / 60, labs(minutes) % 60);
	ml_json_string(json, "time", text);
}

void ml_report_json_target(struct ml_json *json, const struct ml_report *report)
{
	ml_json_object_begin(json, "target");
	if (report->is_kernel) {
		ml_json_bool(json, "kernel", true);
	} else {
		ml_json_i64(json, "pid", report->pid);
		ml_json_string(json, "comm", report->comm);
		ml_json_string(json, "exe", report->exe);
		ml_json_string(json, "container", report->container);
	}
	ml_json_object_end(json);
}

static void write_sampling(struct ml_json *json, const struct ml_report *report)
{
	static const char *const modes[] = {
		[ML_SAMPLING_ALL] = "all",
		[ML_SAMPLING_NTH] = "nth",
		[ML_SAMPLING_BYTES] = "bytes",
	};

	ml_json_object_begin(json, "sampling");
	ml_json_string(json, "mode", modes[report->sampling]);
	ml_json_u64(json, "n", report->sampling == ML_SAMPLING_ALL ? 1 : report->sampling_n);
	ml_json_object_end(json);
}

static void write_known(struct ml_json *json, const char *key, double value, bool is_known)
{
	if (is_known)
		ml_json_double(json, key, value);
	else
		ml_json_null(json, key);
}

static void write_totals(struct ml_json *json, const struct ml_report *report)
{
	ml_json_object_begin(json, "totals");
	ml_json_u64(json, "outstanding_bytes", report->outstanding_bytes);
	ml_json_u64(json, "outstanding_count", report->outstanding_count);
	ml_json_u64(json, "allocs", report->allocs);
	ml_json_u64(json, "frees", report->frees);
	ml_json_u64(json, "untracked_frees", report->untracked_frees);
	ml_json_object_end(json);

	ml_json_object_begin(json, "cost");
	write_known(json, "target_cpu_fraction", report->target_cpu_fraction,
		    report->target_cpu_fraction >= 0);
	ml_json_double(json, "tool_cpu_s", report->tool_cpu_s);
	ml_json_double(json, "events_per_s", report->events_per_s);
	ml_json_object_end(json);
}

static void write_caveats(struct ml_json *json, const struct ml_report *report)
{
	static const char *const keys[] = {
#define X(name, key, text) #key,
		ML_COUNTERS(X)
#undef X
	};

	ml_json_object_begin(json, "caveats");
	for (size_t i = 0; i < ML_COUNTER_COUNT; i++)
		if (report->counters[i])
			ml_json_u64(json, keys[i], report->counters[i]);
	ml_json_object_end(json);
}

void ml_report_json_frames(struct ml_json *json, const struct ml_report_site *site,
			   struct ml_json_frames *frames)
{
	ml_json_array_begin(json, "frames");
	ml_array_each (frame, &site->frames)
		ml_json_frames_add(frames, json, frame);
	ml_json_array_end(json);
}

static void write_block(struct ml_json *json, const struct ml_report *report,
			const struct ml_block *block)
{
	ml_json_object_begin(json, NULL);
	ml_json_hex(json, "addr", block->address);
	ml_json_u64(json, "size", block->size);
	ml_json_u64(json, "age_ms",
		    report->now_ns > block->born_ns
			    ? (report->now_ns - block->born_ns) / ML_NS_PER_MS
			    : 0);
	ml_json_i64(json, "pid", block->pid);
	ml_json_i64(json, "tid", block->tid);
	ml_json_object_end(json);
}

static void write_age(struct ml_json *json, const char *key, int64_t age_ms)
{
	if (age_ms >= 0)
		ml_json_i64(json, key, age_ms);
	else
		ml_json_null(json, key);
}

void ml_report_json_verdict(struct ml_json *json, const struct ml_verdict *verdict)
{
	write_known(json, "growth_bytes_per_s", verdict->growth_bytes_per_s,
		    verdict->class != ML_VERDICT_UNKNOWN);
	ml_json_string(json, "verdict", ml_verdict_name(verdict->class));
	ml_json_double(json, "confidence", verdict->confidence);
	ml_json_string(json, "why", verdict->why);
}

/** Where to look. */
static void write_owner(struct ml_json *json, const struct ml_report_site *site)
{
	const struct ml_report_frame *frame;

	if (!site->owner) {
		ml_json_null(json, "owner");
		return;
	}
	frame = &site->frames.items[site->owner - 1];
	ml_json_object_begin(json, "owner");
	ml_json_u64(json, "index", site->owner - 1);
	ml_json_string(json, "symbol", frame->symbol);
	ml_json_string(json, "file", frame->file);
	if (frame->line > 0)
		ml_json_i64(json, "line", frame->line);
	else
		ml_json_null(json, "line");
	ml_json_object_end(json);
}

/** How the stack ended, by the names of the contract; NULL when it is not known. */
static const char *stack_end_name(const struct ml_report_site *site)
{
	static const char *const names[ML_WALK_END_COUNT] = {
		[ML_WALK_COMPLETE] = "complete",
		[ML_WALK_FAULT] = "fault",
		[ML_WALK_NO_UNWIND_INFO] = "no_unwind_info",
		[ML_WALK_DEPTH] = "depth",
	};

	if (site->is_stack_lost || (unsigned int)site->end >= ML_WALK_END_COUNT)
		return NULL;
	return names[site->end];
}

static void write_site(struct ml_json *json, const struct ml_report *report,
		       const struct ml_report_site *site, struct ml_json_frames *frames)
{
	char id[20];

	snprintf(id, sizeof(id), "%016llx", (unsigned long long)site->id);
	ml_json_object_begin(json, NULL);
	ml_json_string(json, "id", id);
	if (!report->is_kernel) {
		ml_json_i64(json, "pid", site->pid);
		ml_json_string(json, "comm", site->comm);
	}
	ml_json_u64(json, "bytes", site->bytes);
	ml_json_u64(json, "count", site->count);
	ml_json_u64(json, "allocs", site->allocs);
	ml_json_u64(json, "frees", site->frees);
	write_age(json, "oldest_ms", site->oldest_ms);
	write_age(json, "newest_ms", site->newest_ms);
	ml_report_json_verdict(json, &site->verdict);
	write_owner(json, site);
	ml_json_string(json, "stack_end", stack_end_name(site));
	ml_report_json_frames(json, site, frames);
	if (report->show_blocks) {
		ml_json_array_begin(json, "allocations");
		ml_array_each (block, &site->blocks)
			write_block(json, report, block);
		ml_json_array_end(json);
	}
	ml_json_object_end(json);
}

void ml_report_json_notes(struct ml_json *json, const struct ml_report *report)
{
	if (!report->notes.count)
		return;
	ml_json_array_begin(json, "notes");
	ml_array_each (note, &report->notes)
		ml_json_string(json, NULL, *note);
	ml_json_array_end(json);
}

/** The sites, and the sum of those left out, so that the totals reconcile. */
static void write_sites(struct ml_json *json, const struct ml_report *report)
{
	size_t listed = ml_report_listed(report);
	struct ml_report_others others;
	struct ml_json_frames frames = {0};

	ml_json_array_begin(json, "sites");
	for (size_t i = 0; i < listed; i++)
		write_site(json, report, &report->sites.items[i], &frames);
	ml_json_array_end(json);
	ml_json_frames_free(&frames);
	if (!report->is_limited)
		return;
	others = ml_report_others(report);
	ml_json_object_begin(json, "others");
	ml_json_u64(json, "sites", others.sites);
	ml_json_u64(json, "bytes", others.bytes);
	ml_json_u64(json, "count", others.count);
	ml_json_object_end(json);
}

static void write_limit(struct ml_json *json, const struct ml_memory_limit *limit)
{
	static const char *const kinds[] = {
		[ML_LIMIT_CGROUP] = "cgroup",
		[ML_LIMIT_ADDRESS] = "address_space",
		[ML_LIMIT_DATA] = "data",
		[ML_LIMIT_MACHINE] = "machine",
	};

	if (limit->kind == ML_LIMIT_NONE) {
		ml_json_null(json, "limit");
		return;
	}
	ml_json_object_begin(json, "limit");
	ml_json_string(json, "kind", kinds[limit->kind]);
	ml_json_u64(json, "limit_bytes", limit->limit_bytes);
	ml_json_u64(json, "used_bytes", limit->used_bytes);
	ml_json_object_end(json);
}

static void write_summary(struct ml_json *json, const struct ml_report *report)
{
	const struct ml_summary *summary = &report->summary;

	ml_json_object_begin(json, "summary");
	ml_json_string(json, "text", summary->text);
	ml_json_double(json, "leak_bytes_per_s", summary->leak_bytes_per_s);
	ml_json_double(json, "growing_bytes_per_s", summary->growing_bytes_per_s);
	write_known(json, "eta_s", summary->eta_s, summary->eta_s >= 0);
	write_limit(json, &report->limit);
	ml_json_object_begin(json, "sites");
	for (size_t i = 0; i <= ML_VERDICT_STARTUP; i++)
		ml_json_u64(json, ml_verdict_name((enum ml_verdict_class)i), summary->sites[i]);
	ml_json_object_end(json);
	ml_json_object_end(json);
}

static void write_json(FILE *out, const struct ml_report *report)
{
	struct ml_json json = {.out = out};

	ml_json_object_begin(&json, NULL);
	ml_report_json_begin(&json, "trace");
	ml_report_json_time(&json, report);
	ml_json_bool(&json, "final", report->is_final);
	ml_json_string(&json, "end_reason", report->end_reason);
	ml_report_json_target(&json, report);
	ml_json_string(&json, "backend", report->backend);
	write_sampling(&json, report);
	ml_json_double(&json, "elapsed_s", report->elapsed_s);
	write_totals(&json, report);
	write_caveats(&json, report);
	if (report->summary.text[0])
		write_summary(&json, report);
	ml_report_json_notes(&json, report);
	write_sites(&json, report);
	ml_json_object_end(&json);
	putc('\n', out);
}

const struct ml_report_format ml_report_json = {
	.name = "json", .is_stream = true, .write = write_json};

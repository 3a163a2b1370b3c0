/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/reporter.h"

#include "base/clock.h"
#include "cli/note.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

/* Less CPU time than this (two ticks of /proc/PID/stat) cannot be divided by. */
#define MEASURABLE_CPU_S 0.02

/* Debug files are looked for where the program itself would see them. */
static struct ml_error *open_debug_file(void *context, struct ml_module *module, const char *path,
					int *fd)
{
	const struct ml_reporter *reporter = context;

	return ml_targets_open_file(reporter->targets, path, fd);
}

void ml_reporter_start(struct ml_reporter *reporter)
{
	reporter->start_ns = ml_monotonic_ns();
	reporter->timeline = ml_timeline_create(reporter->start_ns);
	reporter->symbolizer = ml_symbolizer_create(true);
	ml_symbolizer_set_open_file(reporter->symbolizer, open_debug_file, reporter);
}

/* The share of the CPU time of the targets since we came that was the probes'. */
static void collect_cost(struct ml_reporter *reporter)
{
	struct ml_tracer_cost cost = {.target_cpu_s = -1};
	double elapsed_s = (double)(reporter->snapshot.time_ns - reporter->start_ns) /
			   (double)ML_NS_PER_SECOND;
	double cpu_s = ml_targets_cpu_s(reporter->targets);

	reporter->tracer->ops->cost(reporter->tracer, &cost);
	reporter->target_cpu_fraction = -1;
	if (cost.target_cpu_s >= 0 && cpu_s >= MEASURABLE_CPU_S) {
		double fraction = cost.target_cpu_s / cpu_s;

		reporter->target_cpu_fraction = fraction < 1 ? fraction : 1;
	}
	reporter->events_per_s = elapsed_s > 0 ? (double)cost.events / elapsed_s : 0;
}

struct ml_error *ml_reporter_collect(struct ml_reporter *reporter, bool all_ages)
{
	const struct ml_options *options = reporter->options;
	struct ml_snapshot_filter filter = {
		.min_age_ns = all_ages ? 0 : options->older_ms * ML_NS_PER_MS,
		.want_blocks = options->show_allocs,
		.want_ages = !options->combined_only,
	};
	struct ml_snapshot snapshot = {0};
	struct ml_error *error =
		reporter->tracer->ops->snapshot(reporter->tracer, &filter, &snapshot);

	if (error)
		return ml_error_wrap(error, "cannot read what was traced");
	ml_snapshot_deinit(&reporter->snapshot);
	reporter->snapshot = snapshot;
	collect_cost(reporter);
	reporter->snapshot.resident_bytes = ml_targets_resident_bytes(reporter->targets);
	ml_timeline_add(reporter->timeline, &reporter->snapshot);
	return NULL;
}

static const struct ml_stack *stack_of(void *context, uint64_t id)
{
	struct ml_reporter *reporter = context;

	return reporter->tracer->ops->stack(reporter->tracer, id);
}

static const char *comm_of(void *context, pid_t pid)
{
	struct ml_reporter *reporter = context;

	return ml_targets_comm(reporter->targets, pid);
}

static pid_t inner_pid_of(void *context, pid_t pid)
{
	struct ml_reporter *reporter = context;

	return ml_targets_inner_pid(reporter->targets, pid);
}

static void fill_target(const struct ml_reporter *reporter, struct ml_report *report)
{
	const struct ml_options *options = reporter->options;

	report->backend = reporter->tracer->ops->name;
	report->is_kernel = ml_options_is_kernel(options);
	report->is_many_processes = options->follow || options->container;
	if (!reporter->targets->list.count)
		return;
	const struct ml_process *process = reporter->targets->list.items[0].process;

	report->pid = ml_process_pid(process);
	report->comm = ml_process_comm(process);
	report->exe = *ml_process_exe(process) ? ml_process_exe(process) : NULL;
	report->container = ml_process_container(process);
}

static void fill_sampling(const struct ml_options *options, struct ml_report *report)
{
	report->sampling = ML_SAMPLING_ALL;
	report->sampling_n = 1;
	if (options->sample_bytes) {
		report->sampling = ML_SAMPLING_BYTES;
		report->sampling_n = options->sample_bytes;
	} else if (options->sample_every > 1) {
		report->sampling = ML_SAMPLING_NTH;
		report->sampling_n = options->sample_every;
	}
}

static double own_cpu_s(void)
{
	struct rusage usage = {0};

	getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void build(struct ml_reporter *reporter, const struct ml_moment *moment, bool is_shown,
		  struct ml_report *report)
{
	const struct ml_options *options = reporter->options;
	bool is_text = !is_shown && options->format == &ml_report_text;
	struct ml_report_input input = {
		.snapshot = &reporter->snapshot,
		.timeline = reporter->timeline,
		.symbolizer = reporter->symbolizer,
		.stack = stack_of,
		.comm = comm_of,
		.inner_pid = inner_pid_of,
		.context = reporter,
		.sort = options->sort,
		.symbolize_limit = is_text && !reporter->suppressions ? options->top : 0,
	};

	*report = (struct ml_report){
		.now_ns = reporter->snapshot.time_ns,
		.elapsed_s = (double)(reporter->snapshot.time_ns - reporter->start_ns) /
			     (double)ML_NS_PER_SECOND,
		.is_final = moment->is_final,
		.end_reason = moment->end_reason,
		.target_cpu_fraction = reporter->target_cpu_fraction,
		.events_per_s = reporter->events_per_s,
		.top = options->top,
		.show_blocks = options->show_allocs,
		.use_colour = is_text && ml_output_uses_colour(reporter->output, options->color),
	};
	clock_gettime(CLOCK_REALTIME, &report->time);
	fill_target(reporter, report);
	fill_sampling(options, report);
	ml_report_build(&input, report);
	report->tool_cpu_s = own_cpu_s();
}

static bool has_leak(const struct ml_report *report)
{
	ml_array_each (site, &report->sites) {
		if (site->verdict.class == ML_VERDICT_LEAK)
			return true;
	}
	return false;
}

/* Says what was left out where it does not break the format: in the text, else on stderr. */
static void tell_suppressed(const struct ml_suppressed *gone, FILE *out)
{
	char line[160];

	snprintf(line, sizeof(line),
		 "left out by the suppressions: %" PRIu64 " bytes in %" PRIu64 " blocks, %" PRIu64
		 " stack%s",
		 gone->bytes, gone->count, gone->sites, gone->sites == 1 ? "" : "s");
	if (out)
		fprintf(out, "# %s\n", line);
	else
		ml_note("%s", line);
}

static struct ml_error *render(struct ml_reporter *reporter, const struct ml_report *report,
			       const struct ml_suppressed *gone)
{
	const struct ml_report_format *format = reporter->options->format;
	char *text = NULL;
	size_t length = 0;
	FILE *memory = open_memstream(&text, &length);

	if (!memory)
		return ml_error_errno(errno, "cannot write a report");
	format->write(memory, report);
	if (gone->sites)
		tell_suppressed(gone, format == &ml_report_text ? memory : NULL);
	bool is_whole = !ferror(memory);

	is_whole = !fclose(memory) && is_whole;
	struct ml_error *error =
		is_whole ? ml_output_write(reporter->output, text, length)
			 : ml_error_new(ML_ERROR_SYSTEM, "cannot write a report: out of memory");

	free(text);
	return error;
}

struct ml_error *ml_reporter_write(struct ml_reporter *reporter, const struct ml_moment *moment)
{
	const struct ml_report_format *format = reporter->options->format;
	struct ml_suppressed gone = {0};
	struct ml_report report;
	struct ml_error *error;

	if (!format->is_stream && !moment->is_final)
		return NULL;
	build(reporter, moment, false, &report);
	if (reporter->suppressions)
		ml_suppressions_apply(reporter->suppressions, &report, &gone);
	reporter->found_leak = has_leak(&report);
	error = render(reporter, &report, &gone);
	reporter->has_written = reporter->has_written || !error;
	ml_report_deinit(&report);
	return error;
}

void ml_reporter_build(struct ml_reporter *reporter, struct ml_report *report)
{
	struct ml_suppressed gone = {0};

	build(reporter, &(struct ml_moment){0}, true, report);
	if (reporter->suppressions)
		ml_suppressions_apply(reporter->suppressions, report, &gone);
}

void ml_reporter_deinit(struct ml_reporter *reporter)
{
	ml_snapshot_deinit(&reporter->snapshot);
	ml_symbolizer_destroy(reporter->symbolizer);
	ml_timeline_destroy(reporter->timeline);
}

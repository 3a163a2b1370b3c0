/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/reporter.h"

#include "base/clock.h"
#include "cli/note.h"
#include "model/growing.h"
#include "report/excerpts.h"

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

static int open_source(void *context, const char *file)
{
	const struct ml_reporter *reporter = context;
	int fd = -1;
	ML_ERROR_CLEANUP struct ml_error *error =
		ml_targets_open_source(reporter->targets, file, &fd);

	return error ? -1 : fd;
}

void ml_reporter_start(struct ml_reporter *reporter)
{
	reporter->start_ns = ml_monotonic_ns();
	reporter->sample_bytes = reporter->options->sample_bytes;
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

/* The mark that reports begin at; NULL when there is none (yet). */
static const struct ml_mark *since_mark(const struct ml_reporter *reporter)
{
	uint64_t number = reporter->options->since_mark;

	if (!ml_options_has(reporter->options, ML_OPTION_SINCE_MARK))
		return NULL;
	if (!number)
		number = reporter->marks.count;
	return number && number <= reporter->marks.count ? &reporter->marks.items[number - 1]
							 : NULL;
}

struct ml_error *ml_reporter_collect(struct ml_reporter *reporter, bool all_ages)
{
	const struct ml_options *options = reporter->options;
	const struct ml_mark *since = since_mark(reporter);
	struct ml_snapshot_filter filter = {
		.min_age_ns = all_ages ? 0 : options->older_ms * ML_NS_PER_MS,
		.born_after_ns = since ? since->time_ns : 0,
		.want_blocks = options->show_allocs,
		.want_ages = !options->combined_only,
		.cohorts = ml_timeline_cohorts(reporter->timeline),
	};
	struct ml_snapshot snapshot = {0};
	struct ml_error *error =
		reporter->tracer->ops->snapshot(reporter->tracer, &filter, &snapshot);

	if (error)
		return ml_error_wrap(error, "cannot read what was traced");
	ml_snapshot_sort(&snapshot);
	ml_lost_blocks_fill(reporter->lost, &snapshot);
	snapshot.counters[ML_COUNTER_PROCESSES_UNSEEN] += ml_targets_unseen(reporter->targets);
	ml_snapshot_deinit(&reporter->snapshot);
	reporter->snapshot = snapshot;
	collect_cost(reporter);
	reporter->snapshot.resident_bytes = ml_targets_resident_bytes(reporter->targets);
	ml_timeline_add(reporter->timeline, &reporter->snapshot);
	ml_snapshot_show_growing(&reporter->snapshot, reporter->timeline, &filter);
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

static void fill_sampling(const struct ml_reporter *reporter, struct ml_report *report)
{
	const struct ml_options *options = reporter->options;

	report->sampling = ML_SAMPLING_ALL;
	report->sampling_n = 1;
	if (reporter->sample_bytes) {
		report->sampling = ML_SAMPLING_BYTES;
		report->sampling_n = reporter->sample_bytes;
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

static struct ml_report_input input_of(struct ml_reporter *reporter)
{
	return (struct ml_report_input){
		.snapshot = &reporter->snapshot,
		.timeline = reporter->timeline,
		.symbolizer = reporter->symbolizer,
		.stack = stack_of,
		.comm = comm_of,
		.inner_pid = inner_pid_of,
		.context = reporter,
		.sort = reporter->options->sort,
	};
}

/* What a report does not have of everything since tracing began. */
static void note_since(const struct ml_reporter *reporter, struct ml_report *report)
{
	const struct ml_mark *since = since_mark(reporter);

	if (!ml_options_has(reporter->options, ML_OPTION_SINCE_MARK))
		return;
	if (!since) {
		ml_report_note(report, "the mark is not set yet (SIGUSR1 to memleak sets one): "
				       "everything since tracing began");
		return;
	}

	const struct ml_report then = {.time = since->time, .utc_offset_s = report->utc_offset_s};
	struct tm local = ml_report_local_time(&then);

	ml_report_note(report, "since mark %zu at %02d:%02d:%02d: only blocks allocated after it",
		       (size_t)(since - reporter->marks.items) + 1, local.tm_hour, local.tm_min,
		       local.tm_sec);
}

/* All of a report but its sites. */
static void describe(const struct ml_reporter *reporter, const struct ml_moment *moment,
		     struct ml_report *report)
{
	const struct ml_options *options = reporter->options;
	struct tm local = {0};

	*report = (struct ml_report){
		.now_ns = reporter->snapshot.time_ns,
		.elapsed_s = (double)(reporter->snapshot.time_ns - reporter->start_ns) /
			     (double)ML_NS_PER_SECOND,
		.is_final = moment->is_final,
		.end_reason = moment->end_reason,
		.target_cpu_fraction = reporter->target_cpu_fraction,
		.events_per_s = reporter->events_per_s,
		.tool_cpu_s = own_cpu_s(),
		.top = options->top,
		.is_limited = ml_options_has(options, ML_OPTION_TOP),
		.show_blocks = options->show_allocs,
	};
	clock_gettime(CLOCK_REALTIME, &report->time);
	localtime_r(&report->time.tv_sec, &local);
	report->utc_offset_s = (int)local.tm_gmtoff;
	fill_target(reporter, report);
	fill_sampling(reporter, report);
	ml_memory_limit_find(report->is_kernel ? 0 : report->pid, &report->limit);
	note_since(reporter, report);
}

/* Records the moment that @report is of. */
static void record(struct ml_reporter *reporter, const struct ml_report *report, uint64_t mark)
{
	struct ml_report_input input = input_of(reporter);

	if (reporter->record)
		ml_record_file_add(reporter->record, &(struct ml_recorded_moment){.input = &input,
										  .report = report,
										  .mark = mark});
}

struct ml_error *ml_reporter_write(struct ml_reporter *reporter, const struct ml_moment *moment)
{
	const struct ml_options *options = reporter->options;
	bool is_written = options->format->is_stream || moment->is_final;
	struct ml_report_input input = input_of(reporter);
	struct ml_report report;
	struct ml_error *error = NULL;

	if (!ml_report_writer_needs_names(&reporter->writer))
		input.symbolize_limit = options->top;
	describe(reporter, moment, &report);
	if (is_written)
		ml_report_build(&input, &report);
	report.tool_cpu_s = own_cpu_s();
	record(reporter, &report, 0);
	if (is_written && options->format == &ml_report_html)
		ml_excerpts_read(&report, open_source, reporter);
	if (is_written)
		error = ml_report_writer_write(&reporter->writer, &report);
	ml_report_deinit(&report);
	return error;
}

void ml_reporter_build(struct ml_reporter *reporter, struct ml_report *report)
{
	struct ml_report_input input = input_of(reporter);

	describe(reporter, &(struct ml_moment){0}, report);
	ml_report_build(&input, report);
	report->tool_cpu_s = own_cpu_s();
	record(reporter, report, 0);
	ml_report_writer_choose(&reporter->writer, report);
}

void ml_reporter_record(struct ml_reporter *reporter)
{
	struct ml_report report;

	describe(reporter, &(struct ml_moment){0}, &report);
	record(reporter, &report, 0);
	ml_report_deinit(&report);
}

struct ml_error *ml_reporter_mark(struct ml_reporter *reporter)
{
	struct ml_error *error = ml_reporter_collect(reporter, false);
	struct ml_report report;
	struct tm local;

	if (error)
		return error;
	describe(reporter, &(struct ml_moment){0}, &report);
	*ml_array_push(&reporter->marks) = (struct ml_mark){
		.time_ns = reporter->snapshot.time_ns,
		.time = report.time,
	};
	local = ml_report_local_time(&report);
	ml_note("mark %zu at %02d:%02d:%02d", reporter->marks.count, local.tm_hour, local.tm_min,
		local.tm_sec);
	record(reporter, &report, reporter->marks.count);
	ml_report_deinit(&report);
	return NULL;
}

void ml_reporter_deinit(struct ml_reporter *reporter)
{
	ml_snapshot_deinit(&reporter->snapshot);
	ml_symbolizer_destroy(reporter->symbolizer);
	ml_timeline_destroy(reporter->timeline);
	ml_array_free(&reporter->marks);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/** Which options cannot be used together, and why. */
#include "cli/options.h"

#include <inttypes.h>

/* Two options that exclude each other. */
struct conflict {
	enum ml_option_id one, other;
	const char *why;
};

static const struct conflict conflicts[] = {
	{ML_OPTION_PID, ML_OPTION_COMMAND, "trace a running process or start one"},
	{ML_OPTION_PID, ML_OPTION_CONTAINER, "trace one process or a container"},
	{ML_OPTION_COMMAND, ML_OPTION_CONTAINER, "trace a container or start a command"},
	{ML_OPTION_SHOW_ALLOCS, ML_OPTION_COMBINED_ONLY, "totals have no single allocations"},
	{ML_OPTION_SAMPLE_RATE, ML_OPTION_SAMPLE_BYTES, "sample by calls or by bytes"},
	{ML_OPTION_TRACE, ML_OPTION_JSON, "calls are printed as text"},
	{ML_OPTION_TRACE, ML_OPTION_LIVE, "calls are printed one by one"},
	{ML_OPTION_TRACE, ML_OPTION_COMBINED_ONLY, "--trace prints no totals"},
	{ML_OPTION_TRACE, ML_OPTION_FAIL_ON_LEAK, "--trace judges nothing"},
	{ML_OPTION_TRACE, ML_OPTION_SUPPRESSIONS, "--trace prints every call"},
	{ML_OPTION_TRACE, ML_OPTION_BASELINE, "--trace prints every call"},
	{ML_OPTION_TRACE, ML_OPTION_SINCE_MARK, "--trace prints every call"},
	{ML_OPTION_COMBINED_ONLY, ML_OPTION_SINCE_MARK, "totals have no ages"},
	{ML_OPTION_AT, ML_OPTION_TO, "they mean the same"},
	{ML_OPTION_SINCE_MARK, ML_OPTION_FROM, "since a mark or from a moment"},
};

/* Options that mean something only for the kernel's allocators, or only for a process. */
static const enum ml_option_id kernel_only[] = {ML_OPTION_PERCPU, ML_OPTION_WA_MISSING_FREE};
static const enum ml_option_id process_only[] = {
	ML_OPTION_FOLLOW,   ML_OPTION_OBJ,     ML_OPTION_SYMBOLS_PREFIX,
	ML_OPTION_ALLOC_FN, ML_OPTION_FREE_FN,
};

/* What the subcommands understand; ended by ML_OPTION_COUNT. */
static const enum ml_option_id doctors[] = {
	ML_OPTION_PID,      ML_OPTION_OBJ,     ML_OPTION_SYMBOLS_PREFIX,
	ML_OPTION_ALLOC_FN, ML_OPTION_FREE_FN, ML_OPTION_JSON,
	ML_OPTION_VERBOSE,  ML_OPTION_REPAIR,  ML_OPTION_COUNT,
};
static const enum ml_option_id reports[] = {
	ML_OPTION_OLDER,   ML_OPTION_MIN_SIZE,    ML_OPTION_MAX_SIZE,     ML_OPTION_TOP,
	ML_OPTION_SORT,    ML_OPTION_SHOW_ALLOCS, ML_OPTION_JSON,         ML_OPTION_FORMAT,
	ML_OPTION_OUTPUT,  ML_OPTION_AT,          ML_OPTION_FAIL_ON_LEAK, ML_OPTION_SUPPRESSIONS,
	ML_OPTION_FROM,    ML_OPTION_BASELINE,    ML_OPTION_SINCE_MARK,   ML_OPTION_TO,
	ML_OPTION_VERBOSE, ML_OPTION_WRAPPER,     ML_OPTION_COUNT,
};
static const enum ml_option_id diffs[] = {
	ML_OPTION_TOP,          ML_OPTION_JSON,    ML_OPTION_FORMAT, ML_OPTION_OUTPUT,
	ML_OPTION_FAIL_ON_LEAK, ML_OPTION_FROM,    ML_OPTION_TO,     ML_OPTION_VERBOSE,
	ML_OPTION_SUPPRESSIONS, ML_OPTION_WRAPPER, ML_OPTION_COUNT,
};
/* What only they understand. */
static const enum ml_option_id recordings_only[] = {
	ML_OPTION_AT,
	ML_OPTION_FROM,
	ML_OPTION_TO,
	ML_OPTION_COUNT,
};

static bool is_listed(const enum ml_option_id *list, enum ml_option_id id)
{
	for (; *list != ML_OPTION_COUNT; list++) {
		if (*list == id)
			return true;
	}
	return false;
}

/* That nothing but the options of @list was given. */
static struct ml_error *check_listed(const struct ml_options *options,
				     const enum ml_option_id *list, const char *subcommand)
{
	for (unsigned int id = 0; id < ML_OPTION_COUNT; id++) {
		if (ml_options_has(options, id) && !is_listed(list, id))
			return ml_error_new(ML_ERROR_USAGE, "--%s cannot be used with %s",
					    ml_option_table[id].name, subcommand);
	}
	return NULL;
}

static struct ml_error *check_doctor(const struct ml_options *options)
{
	if (options->words)
		return ml_error_new(ML_ERROR_USAGE, "'%s': doctor takes options only",
				    options->words[0]);
	return check_listed(options, doctors, "doctor");
}

/* What is read is not to be written over by mistake. */
static struct ml_error *check_output(const struct ml_options *options)
{
	if (!ml_options_records(options))
		return NULL;
	return ml_error_new(ML_ERROR_USAGE,
			    "--output: '%s' is a name of recordings, which only tracing makes",
			    options->output);
}

static struct ml_error *check_report(const struct ml_options *options)
{
	if (!options->files[0])
		return ml_error_new(ML_ERROR_USAGE,
				    "report: which recording? (memleak -w FILE.ml makes them)");
	struct ml_error *error = check_output(options);

	return error ? error : check_listed(options, reports, "report");
}

static struct ml_error *check_diff(const struct ml_options *options)
{
	if (!options->files[0])
		return ml_error_new(ML_ERROR_USAGE,
				    "diff: which recordings? (memleak -w FILE.ml makes them)");
	if (options->files[1] && ml_options_has(options, ML_OPTION_FROM))
		return ml_error_new(ML_ERROR_USAGE,
				    "--from is for moments of one recording; two are compared at "
				    "their ends, or --to");
	if (options->format != &ml_report_text && options->format != &ml_report_json)
		return ml_error_new(ML_ERROR_USAGE, "diff writes text and json, not %s",
				    options->format->name);
	struct ml_error *error = check_output(options);

	return error ? error : check_listed(options, diffs, "diff");
}

static struct ml_error *check_trace(const struct ml_options *options)
{
	for (const enum ml_option_id *id = recordings_only; *id != ML_OPTION_COUNT; id++) {
		if (ml_options_has(options, *id))
			return ml_error_new(ML_ERROR_USAGE,
					    "--%s is for recordings: memleak report FILE.ml and "
					    "memleak diff",
					    ml_option_table[*id].name);
	}
	if (options->trace_calls && ml_options_records(options))
		return ml_error_new(ML_ERROR_USAGE, "--trace makes no reports that could be "
						    "recorded");
	return NULL;
}

static struct ml_error *check_backend(const struct ml_options *options)
{
	if (ml_options_has(options, ML_OPTION_MAX_OVERHEAD) && options->backend)
		return ml_error_new(ML_ERROR_USAGE,
				    "--max-overhead and --backend %s cannot be used together: the "
				    "limit is kept by --backend auto",
				    options->backend == ML_BACKEND_BPF ? "bpf" : "agent");
	if (options->subcommand != ML_COMMAND_DOCTOR && options->repair)
		return ml_error_new(ML_ERROR_USAGE, "--repair is for memleak doctor -p PID");
	if (options->repair && !options->pid)
		return ml_error_new(ML_ERROR_USAGE, "--repair needs a process: -p PID");
	return NULL;
}

static struct ml_error *check_pairs(const struct ml_options *options)
{
	for (size_t i = 0; i < sizeof(conflicts) / sizeof(conflicts[0]); i++) {
		const struct conflict *it = &conflicts[i];

		if (ml_options_has(options, it->one) && ml_options_has(options, it->other))
			return ml_error_new(ML_ERROR_USAGE,
					    "--%s and --%s cannot be used together: %s",
					    ml_option_table[it->one].name,
					    ml_option_table[it->other].name, it->why);
	}
	return NULL;
}

static struct ml_error *check_mode(const struct ml_options *options)
{
	bool is_kernel = ml_options_is_kernel(options);
	const enum ml_option_id *list = is_kernel ? process_only : kernel_only;
	size_t count = is_kernel ? sizeof(process_only) / sizeof(process_only[0])
				 : sizeof(kernel_only) / sizeof(kernel_only[0]);

	for (size_t i = 0; i < count; i++) {
		if (ml_options_has(options, list[i]))
			return ml_error_new(ML_ERROR_USAGE,
					    is_kernel ? "--%s needs a process: give -p, -c or "
							"--container"
						      : "--%s is for the kernel's allocators: it "
							"cannot be used with a process",
					    ml_option_table[list[i]].name);
	}
	return NULL;
}

static struct ml_error *check_subcommand(const struct ml_options *options)
{
	switch (options->subcommand) {
	case ML_COMMAND_DOCTOR:
		return check_doctor(options);
	case ML_COMMAND_REPORT:
		return check_report(options);
	case ML_COMMAND_DIFF:
		return check_diff(options);
	case ML_COMMAND_TRACE:
		break;
	}
	return check_trace(options);
}

struct ml_error *ml_options_check(const struct ml_options *options)
{
	struct ml_error *error = check_subcommand(options);

	if (!error && options->subcommand != ML_COMMAND_DOCTOR)
		error = check_pairs(options);
	if (!error)
		error = check_backend(options);
	if (error)
		return error;
	if (options->words && (options->pid || options->command || options->container))
		return ml_error_new(ML_ERROR_USAGE,
				    "a command behind -- cannot be used with --%s: '%s'",
				    options->pid       ? "pid"
				    : options->command ? "command"
						       : "container",
				    options->words[0]);
	if (options->max_size && options->min_size > options->max_size)
		return ml_error_new(ML_ERROR_USAGE,
				    "min size (-z) can't be greater than max_size (-Z): %" PRIu64
				    " > %" PRIu64,
				    options->min_size, options->max_size);
	if (options->trace_calls && options->format != &ml_report_text)
		return ml_error_new(ML_ERROR_USAGE,
				    "--trace and --format %s cannot be used together: calls are "
				    "printed as text",
				    options->format->name);
	return options->subcommand == ML_COMMAND_TRACE ? check_mode(options) : NULL;
}

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
};

/* Options that mean something only for the kernel's allocators, or only for a process. */
static const enum ml_option_id kernel_only[] = {ML_OPTION_PERCPU, ML_OPTION_WA_MISSING_FREE};
static const enum ml_option_id process_only[] = {
	ML_OPTION_FOLLOW,   ML_OPTION_OBJ,     ML_OPTION_SYMBOLS_PREFIX,
	ML_OPTION_ALLOC_FN, ML_OPTION_FREE_FN,
};

/* What doctor understands. */
static const enum ml_option_id doctors[] = {
	ML_OPTION_PID,     ML_OPTION_OBJ,  ML_OPTION_SYMBOLS_PREFIX, ML_OPTION_ALLOC_FN,
	ML_OPTION_FREE_FN, ML_OPTION_JSON, ML_OPTION_VERBOSE,
};

static bool is_doctors(enum ml_option_id id)
{
	for (size_t i = 0; i < sizeof(doctors) / sizeof(doctors[0]); i++) {
		if (doctors[i] == id)
			return true;
	}
	return false;
}

static struct ml_error *check_doctor(const struct ml_options *options)
{
	for (unsigned int id = 0; id < ML_OPTION_COUNT; id++) {
		if (ml_options_has(options, id) && !is_doctors(id))
			return ml_error_new(ML_ERROR_USAGE, "--%s cannot be used with doctor",
					    ml_option_table[id].name);
	}
	return options->words ? ml_error_new(ML_ERROR_USAGE, "'%s': doctor takes options only",
					     options->words[0])
			      : NULL;
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

struct ml_error *ml_options_check(const struct ml_options *options)
{
	struct ml_error *error = options->subcommand == ML_COMMAND_DOCTOR ? check_doctor(options)
									  : check_pairs(options);

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

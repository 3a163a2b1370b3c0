/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/doctor_command.h"

#include "base/json.h"
#include "base/strbuf.h"
#include "cli/checkup.h"
#include "cli/output.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

static const char *const status_names[] = {
	[ML_CHECK_OK] = "ok",
	[ML_CHECK_WARN] = "warn",
	[ML_CHECK_FAIL] = "fail",
};

static void print_escaped(FILE *out, const char *before, const char *text)
{
	ML_STRBUF_CLEANUP struct ml_strbuf line = {0};

	ml_strbuf_escaped(&line, text);
	fprintf(out, "%s%s\n", before, ml_strbuf_text(&line));
}

static void print_backend(FILE *out, const char *name, const struct ml_backend_state *state)
{
	fprintf(out, "backend %s: ", name);
	print_escaped(out, state->is_usable ? "usable" : "not usable: ",
		      state->is_usable ? "" : state->reason);
}

static void write_text(FILE *out, const struct ml_checkup *checkup)
{
	ml_array_each (check, &checkup->checks) {
		fprintf(out, "%-4s  %s: ", status_names[check->status], check->name);
		print_escaped(out, "", check->detail);
		if (check->remedy)
			print_escaped(out, "      → ", check->remedy);
	}
	print_backend(out, "bpf", &checkup->bpf);
	print_backend(out, "kernel", &checkup->kernel);
	print_backend(out, "agent", &checkup->agent);
}

static void write_backend(struct ml_json *json, const char *name,
			  const struct ml_backend_state *state)
{
	ml_json_object_begin(json, name);
	ml_json_bool(json, "usable", state->is_usable);
	ml_json_string(json, "reason", state->reason);
	ml_json_object_end(json);
}

static void write_json(FILE *out, const struct ml_checkup *checkup)
{
	struct ml_json json = {.out = out};
	time_t now = time(NULL);
	struct tm utc;
	char when[32];

	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
	ml_json_object_begin(&json, NULL);
	ml_json_string(&json, "schema", "memleak/1");
	ml_json_string(&json, "kind", "doctor");
	ml_json_string(&json, "time", when);
	ml_json_bool(&json, "final", true);
	ml_json_object_begin(&json, "caveats");
	ml_json_object_end(&json);
	ml_json_array_begin(&json, "checks");
	ml_array_each (check, &checkup->checks) {
		ml_json_object_begin(&json, NULL);
		ml_json_string(&json, "name", check->name);
		ml_json_string(&json, "status", status_names[check->status]);
		ml_json_string(&json, "detail", check->detail);
		ml_json_string(&json, "remedy", check->remedy);
		ml_json_object_end(&json);
	}
	ml_json_array_end(&json);
	ml_json_object_begin(&json, "backends");
	write_backend(&json, "bpf", &checkup->bpf);
	write_backend(&json, "agent", &checkup->agent);
	write_backend(&json, "kernel", &checkup->kernel);
	ml_json_object_end(&json);
	ml_json_object_end(&json);
	fputc('\n', out);
}

static struct ml_error *print(const struct ml_options *options, const struct ml_checkup *checkup)
{
	struct ml_output output;
	char *text = NULL;
	size_t length = 0;
	struct ml_error *error = ml_output_open(NULL, &output);
	FILE *memory = error ? NULL : open_memstream(&text, &length);

	if (error)
		return error;
	if (!memory)
		return ml_error_errno(errno, "cannot write what was found");
	if (options->format == &ml_report_json)
		write_json(memory, checkup);
	else
		write_text(memory, checkup);
	error = fclose(memory) ? ml_error_errno(errno, "cannot write what was found")
			       : ml_output_write(&output, text, length);
	free(text);
	return error;
}

struct ml_error *ml_doctor_command(const struct ml_options *options)
{
	struct ml_allocator_options allocators = {
		.object = options->object,
		.symbols_prefix = options->symbols_prefix,
		.alloc_fns = options->alloc_fns.items,
		.free_fns = options->free_fns.items,
	};
	struct ml_checkup checkup = {0};
	struct ml_process *process = NULL;
	struct ml_error *refused = NULL;

	ml_checkup_machine(&checkup);
	if (options->pid)
		refused = ml_process_open((pid_t)options->pid, &process);
	if (refused)
		ml_checkup_add(&checkup, "process", ML_CHECK_FAIL,
			       ml_strdup(ml_error_message(refused)), NULL);
	else if (process) {
		ml_checkup_process(&checkup, process, &allocators);
		ml_checkup_agent(&checkup, process, options->repair);
	}

	struct ml_error *error = print(options, &checkup);

	if (error)
		ml_error_free(refused);
	ml_process_close(process);
	ml_checkup_deinit(&checkup);
	return error ? error : refused;
}

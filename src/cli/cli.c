/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/cli.h"

#include "base/file.h"
#include "cli/diff_command.h"
#include "cli/doctor_command.h"
#include "cli/note.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/report_command.h"
#include "cli/trace_command.h"

#include <string.h>

/* Prints @p error, which is taken over; returns the exit status it means. */
static int fail(struct ml_error *error)
{
	int status = ml_error_kind(error) == ML_ERROR_USAGE ? ML_EXIT_USAGE : ML_EXIT_FAILED;

	ml_note("%s", ml_error_message(error));
	ml_error_free(error);
	return status;
}

static struct ml_error *print(const char *text)
{
	struct ml_output output;
	struct ml_error *error = ml_output_open(NULL, &output);

	return error ? error : ml_output_write(&output, text, strlen(text));
}

static struct ml_error *print_help(void)
{
	ML_FREE_CLEANUP char *text = ml_options_help();

	return print(text);
}

static int run_subcommand(const struct ml_options *options)
{
	struct ml_error *error = NULL;
	int status = ML_EXIT_DONE;

	switch (options->subcommand) {
	case ML_COMMAND_DOCTOR:
		error = ml_doctor_command(options);
		break;
	case ML_COMMAND_REPORT:
		error = ml_report_command(options, &status);
		break;
	case ML_COMMAND_DIFF:
		error = ml_diff_command(options, &status);
		break;
	case ML_COMMAND_TRACE:
		return ml_trace_command(options);
	}
	return error ? fail(error) : status;
}

static int run(const struct ml_options *options)
{
	struct ml_error *error;

	if (options->show_help)
		error = print_help();
	else if (options->show_version)
		error = print("memleak " ML_VERSION "\n");
	else
		return run_subcommand(options);
	return error ? fail(error) : ML_EXIT_DONE;
}

int ml_cli_run(int argc, char **argv)
{
	struct ml_options options;
	struct ml_error *error = ml_options_parse(argc, argv, &options);

	if (error)
		return fail(error);
	int status = run(&options);

	ml_options_deinit(&options);
	return status;
}

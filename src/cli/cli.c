/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/cli.h"

#include "cli/note.h"
#include "cli/options.h"
#include "cli/trace_command.h"

#include <stdio.h>
#include <stdlib.h>

static int print_help(void)
{
	char *text = ml_options_help();

	fputs(text, stdout);
	free(text);
	return ML_EXIT_DONE;
}

static int print_version(void)
{
	puts("memleak " ML_VERSION);
	return ML_EXIT_DONE;
}

int ml_cli_run(int argc, char **argv)
{
	struct ml_options options;
	struct ml_error *error = ml_options_parse(argc, argv, &options);

	if (error) {
		ml_note("%s", ml_error_message(error));
		ml_error_free(error);
		return ML_EXIT_USAGE;
	}
	int status = options.show_help      ? print_help()
		     : options.show_version ? print_version()
					    : ml_trace_command(&options);

	ml_options_deinit(&options);
	return status;
}

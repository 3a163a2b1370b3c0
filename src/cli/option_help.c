/* SPDX-License-Identifier: BSD-2-Clause */
/** The text of --help, from the table. */
#include "cli/options.h"

#include "base/strbuf.h"

#include <string.h>

#define HELP_COLUMN 32 /* where the help of an option starts */

static const char head[] =
	"Usage: memleak [OPTIONS] [INTERVAL [COUNT]]\n"
	"       memleak [OPTIONS] [INTERVAL [COUNT]] -- CMD [ARG...]\n"
	"       memleak report FILE.ml [OPTIONS]\n"
	"       memleak diff FILE.ml [FILE.ml] [OPTIONS]\n"
	"       memleak doctor [-p PID] [--repair] [--json]\n"
	"\n"
	"Traces what allocates memory and shows the calls whose memory was not freed,\n"
	"every INTERVAL seconds (default 5), COUNT times (default: until Ctrl+C).\n"
	"report and diff read what -w FILE.ml recorded.\n"
	"doctor says what works on this machine, for this process, and what to do about the "
	"rest.\n";

static const char tail[] =
	"\n"
	"Exit status: 0 done, 1 leak found (--fail-on-leak), 2 usage, 3 could not be done,\n"
	"4 the target ended before the first report.\n"
	"\n"
	"Examples:\n"
	"  memleak -p 1234              what process 1234 does not free, every 5 seconds\n"
	"  memleak -ap 1234 10 3        three reports, 10 seconds apart, with each block\n"
	"  memleak --json -- ./app -x   start ./app -x and report as JSON\n"
	"  memleak 5 1                  the kernel's own allocations of 5 seconds\n";

static void add_option(struct ml_strbuf *text, const struct ml_option *option)
{
	size_t start = text->length;

	if (option->letter)
		ml_strbuf_printf(text, "  -%c, --%s", option->letter, option->name);
	else
		ml_strbuf_printf(text, "      --%s", option->name);
	if (option->argument_name)
		ml_strbuf_printf(text, "%s%s", option->argument == ML_ARGUMENT_MAYBE ? "" : " ",
				 option->argument_name);

	for (const char *line = option->help; *line;) {
		size_t length = strcspn(line, "\n");

		if (text->length - start >= HELP_COLUMN) {
			ml_strbuf_putc(text, '\n');
			start = text->length;
		}
		ml_strbuf_printf(text, "%*s", (int)(HELP_COLUMN - (text->length - start)), "");
		ml_strbuf_add(text, line, length);
		line += length + (line[length] == '\n');
	}
	ml_strbuf_putc(text, '\n');
}

char *ml_options_help(void)
{
	struct ml_strbuf text = {0};

	ml_strbuf_puts(&text, head);
	for (size_t i = 0; i < ML_OPTION_COUNT; i++) {
		if (ml_option_table[i].heading)
			ml_strbuf_printf(&text, "\n%s:\n", ml_option_table[i].heading);
		add_option(&text, &ml_option_table[i]);
	}
	ml_strbuf_puts(&text, tail);
	return ml_strbuf_take(&text);
}

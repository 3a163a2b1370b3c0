/* SPDX-License-Identifier: BSD-2-Clause */
/** Command lines, good and bad; help, man page and completions against the table. */
#include "cli/options.h"

#include "base/file.h"
#include "base/strbuf.h"

#include <ctype.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define WORDS_MAX 32

/* Cuts @p line at blanks; '' stands for an empty word. */
static int cut(char *line, char **argv)
{
	int argc = 0;

	argv[argc++] = (char *)"memleak";
	for (char *word = strtok(line, " "); word; word = strtok(NULL, " ")) {
		assert_true(argc < WORDS_MAX);
		argv[argc++] = strcmp(word, "''") ? word : (char *)"";
	}
	argv[argc] = NULL;
	return argc;
}

/* Parses @p line, which must be fine; the words live until the next call. */
static struct ml_options parse(const char *line)
{
	static char text[300];
	static char *argv[WORDS_MAX + 1];
	struct ml_options options;

	snprintf(text, sizeof(text), "%s", line);
	struct ml_error *error = ml_options_parse(cut(text, argv), argv, &options);

	if (error)
		fail_msg("'%s': %s", line, ml_error_message(error));
	return options;
}

static void defaults(void **state)
{
	struct ml_options options = parse("");

	assert_true(ml_options_is_kernel(&options));
	assert_int_equal(options.older_ms, 500);
	assert_int_equal(options.top, 10);
	assert_int_equal(options.sample_every, 1);
	assert_int_equal(options.interval_ns, 5000000000);
	assert_int_equal(options.count, 0);
	assert_ptr_equal(options.format, &ml_report_text);
	assert_int_equal(options.sort, ML_SORT_SIZE);
	assert_false(ml_options_has(&options, ML_OPTION_OLDER));
}

static void combined_short_options(void **state)
{
	struct ml_options options = parse("-ap 1234 0.5 3 -T5");

	assert_true(options.show_allocs);
	assert_int_equal(options.pid, 1234);
	assert_int_equal(options.interval_ns, 500000000);
	assert_int_equal(options.count, 3);
	assert_int_equal(options.top, 5);
}

static void long_options(void **state)
{
	struct ml_options options =
		parse("--pid=7 --older 0 --min-size 16 --max-size=32 --sort count --obj libx.so "
		      "--symbols-prefix je_ --perf-max-stack-depth 127 --stack-storage-size 99 "
		      "--max-blocks 5");

	assert_int_equal(options.pid, 7);
	assert_int_equal(options.older_ms, 0);
	assert_true(ml_options_has(&options, ML_OPTION_OLDER));
	assert_int_equal(options.min_size, 16);
	assert_int_equal(options.max_size, 32);
	assert_int_equal(options.sort, ML_SORT_COUNT);
	assert_string_equal(options.object, "libx.so");
	assert_string_equal(options.symbols_prefix, "je_");
	assert_int_equal(options.max_depth, 127);
	assert_int_equal(options.max_stacks, 99);
	assert_int_equal(options.max_blocks, 5);
}

static void command_behind_dashes(void **state)
{
	struct ml_options options = parse("-f 2 -- ls -p --json");

	assert_true(options.follow);
	assert_int_equal(options.interval_ns, 2000000000);
	assert_string_equal(options.words[0], "ls");
	assert_string_equal(options.words[1], "-p");
	assert_string_equal(options.words[2], "--json");
	assert_null(options.words[3]);
	assert_int_equal(options.pid, 0);
	assert_ptr_equal(options.format, &ml_report_text);
}

static void repeated_options(void **state)
{
	struct ml_options options = parse("-p 1 --alloc-fn a:1 --alloc-fn b --free-fn c");

	assert_string_equal(options.alloc_fns.items[0], "a:1");
	assert_string_equal(options.alloc_fns.items[1], "b");
	assert_null(options.alloc_fns.items[2]);
	assert_string_equal(options.free_fns.items[0], "c");
	assert_null(options.free_fns.items[1]);
	ml_options_deinit(&options);
}

static void formats(void **state)
{
	assert_ptr_equal(parse("--json").format, &ml_report_json);
	assert_ptr_equal(parse("--format folded").format, &ml_report_folded);
	assert_string_equal(parse("-w out.txt").output, "out.txt");
}

static void doctor(void **state)
{
	struct ml_options options = parse("doctor -p 7 --json -O libx.so");

	assert_int_equal(options.subcommand, ML_COMMAND_DOCTOR);
	assert_int_equal(options.pid, 7);
	assert_string_equal(options.object, "libx.so");
	assert_int_equal(parse("-O libx.so doctor").subcommand, ML_COMMAND_DOCTOR);
	assert_int_equal(parse("5").subcommand, ML_COMMAND_TRACE);
}

static void recordings(void **state)
{
	struct ml_options options = parse("report --json run.ml --at +90 -T 3");

	assert_int_equal(options.subcommand, ML_COMMAND_REPORT);
	assert_string_equal(options.files[0], "run.ml");
	assert_int_equal(options.to.kind, ML_POINT_ELAPSED);
	assert_int_equal(options.top, 3);
	options = parse("report -- --top.ml");
	assert_string_equal(options.files[0], "--top.ml");
	assert_null(options.words);
	options = parse("diff a.ml b.ml");
	assert_int_equal(options.subcommand, ML_COMMAND_DIFF);
	assert_string_equal(options.files[1], "b.ml");
	options = parse("-p 1 --since-mark=2 5");
	assert_true(ml_options_has(&options, ML_OPTION_SINCE_MARK));
	assert_int_equal(options.since_mark, 2);
	options = parse("-p 1 --since-mark 5 1");
	assert_int_equal(options.since_mark, 0);
	assert_int_equal(options.count, 1);

	options = parse("-p 1 -w run.ml");
	assert_true(ml_options_records(&options));
	options = parse("-p 1 -w run.json");
	assert_false(ml_options_records(&options));
	options = parse("-p 1 -w .ml");
	assert_false(ml_options_records(&options));
}

static void help_and_version_win(void **state)
{
	assert_true(parse("-h -p x").show_help);
	assert_true(parse("-?").show_help);
	assert_true(parse("--version").show_version);
	assert_true(parse("-p 1 -V").show_version);
}

static const struct {
	const char *line, *error;
} bad[] = {
	{"--top 5x", "--top: '5x' is not a whole number"},
	{"-T ''", "--top: '' is not a whole number"},
	{"-T -1", "--top: '-1' is not a whole number"},
	{"-T 0", "--top: '0' is not between 1 and 4294967295"},
	{"-z 99999999999999999999", "--min-size: '99999999999999999999' is too large"},
	{"-Z 0", "--max-size: '0' is less than 1"},
	{"-p 0", "--pid: '0' is not between 1 and 2147483647"},
	{"-p", "--pid needs an argument: PID"},
	{"--older", "--older needs an argument: MS"},
	{"-p 1,2", "--pid: '1,2' is not one process id; for several processes there are --follow "
		   "(children) and --container"},
	{"--trace=1", "--trace takes no argument"},
	{"--topp 5", "no option --topp; nearest is --top"},
	{"--show-alocs", "no option --show-alocs; nearest is --show-allocs"},
	{"--qqqqqqqqq=5", "no option --qqqqqqqqq; memleak --help lists them"},
	{"-ay", "no option -y; memleak --help lists them"},
	{"--sa 3", "--sa could be several options"},
	{"-p 1 -c ls", "--pid and --command cannot be used together: trace a running process or "
		       "start one"},
	{"-p 1 --container x",
	 "--pid and --container cannot be used together: trace one process or a container"},
	{"-p 1 -- ls", "a command behind -- cannot be used with --pid: 'ls'"},
	{"-c ls -- ls", "a command behind -- cannot be used with --command: 'ls'"},
	{"-p 1 --", "a command must follow --"},
	{"-p 1 -z 5 -Z 4", "min size (-z) can't be greater than max_size (-Z): 5 > 4"},
	{"-p 1 -aC", "--show-allocs and --combined-only cannot be used together: totals have no "
		     "single allocations"},
	{"-p 1 -s 2 --sample-bytes 9", "--sample-rate and --sample-bytes cannot be used together: "
				       "sample by calls or by bytes"},
	{"-p 1 -P", "--percpu is for the kernel's allocators: it cannot be used with a process"},
	{"-F -- ls",
	 "--wa-missing-free is for the kernel's allocators: it cannot be used with a process"},
	{"-O x", "--obj needs a process: give -p, -c or --container"},
	{"-S je_", "--symbols-prefix needs a process: give -p, -c or --container"},
	{"-f", "--follow needs a process: give -p, -c or --container"},
	{"-t --json", "--trace and --json cannot be used together: calls are printed as text"},
	{"-t --format folded",
	 "--trace and --format folded cannot be used together: calls are printed as text"},
	{"--perf-max-stack-depth 128", "--perf-max-stack-depth: '128' is not between 1 and 127"},
	{"--sort age", "--sort: 'age' is not one of: size, count"},
	{"--backend x", "--backend: 'x' is not one of: auto, bpf, agent"},
	{"-w ''", "--output: must not be empty"},
	{"5x", "INTERVAL: '5x' is not a number of seconds"},
	{"0", "INTERVAL: '0' is not between 0.001 and 31536000 seconds"},
	{"ls", "INTERVAL: 'ls' is not a number of seconds (to trace a command: memleak -- ls)"},
	{"5 0", "COUNT: '0' is less than 1"},
	{"5 1.5", "COUNT: '1.5' is not a whole number"},
	{"5 1 7", "'7': only INTERVAL and COUNT can be given"},
	{"watch", "'watch' is not in this version"},
	{"heap -p 1", "'heap' is not in this version"},
	{"doctor 5", "'5': doctor takes options only"},
	{"doctor -- ls", "'ls': doctor takes options only"},
	{"doctor -p 1 -t", "--trace cannot be used with doctor"},
	{"report", "report: which recording? (memleak -w FILE.ml makes them)"},
	{"report a.ml b.ml", "'b.ml': report takes one recording"},
	{"report a.ml -p 1", "--pid cannot be used with report"},
	{"report a.ml --at 25:00",
	 "--at: '25:00' is not a moment: start, end, mark, the number of a mark, +SECONDS, "
	 "HH:MM:SS or 2026-01-23T03:00:41"},
	{"report a.ml --at mark", "--at: 'mark': say which mark, by its number"},
	{"report a.ml --at 1 --to 2", "--at and --to cannot be used together: they mean the same"},
	{"report a.ml --from 1 --since-mark",
	 "--since-mark and --from cannot be used together: since a mark or from a moment"},
	{"report a.ml --since-mark=0", "--since-mark: '0' is less than 1"},
	{"report a.ml -w b.ml",
	 "--output: 'b.ml' is a name of recordings, which only tracing makes"},
	{"diff a.ml b.ml -w a.ml",
	 "--output: 'a.ml' is a name of recordings, which only tracing makes"},
	{"diff", "diff: which recordings? (memleak -w FILE.ml makes them)"},
	{"diff a b c", "'c': diff takes two recordings at most"},
	{"diff a b --from 1", "--from is for moments of one recording; two are compared at their "
			      "ends, or --to"},
	{"diff a b --format svg", "diff writes text and json, not svg"},
	{"-p 1 --at 5", "--at is for recordings: memleak report FILE.ml and memleak diff"},
	{"-p 1 -t -w a.ml", "--trace makes no reports that could be recorded"},
	{"-p 1 -C --since-mark",
	 "--combined-only and --since-mark cannot be used together: totals have no ages"},
};

static void bad_lines(void **state)
{
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char text[300], *argv[WORDS_MAX + 1];
		struct ml_options options;

		snprintf(text, sizeof(text), "%s", bad[i].line);
		struct ml_error *error = ml_options_parse(cut(text, argv), argv, &options);

		if (!error)
			fail_msg("'%s' was accepted", bad[i].line);
		assert_string_equal(ml_error_message(error), bad[i].error);
		assert_int_equal(ml_error_kind(error), ML_ERROR_USAGE);
		ml_error_free(error);
	}
}

static void unknown_format_lists_known(void **state)
{
	char *argv[] = {(char *)"memleak", (char *)"--format", (char *)"xml", NULL};
	struct ml_options options;
	struct ml_error *error = ml_options_parse(3, argv, &options);

	assert_non_null(error);
	assert_non_null(strstr(ml_error_message(error),
			       "'xml' is not one of: text, json, folded, svg, html, pprof, "
			       "heaptrack"));
	ml_error_free(error);
}

/* Whether @p name stands in @p text, not only as the beginning of a longer one. */
static bool stands_in(const char *text, const char *name)
{
	for (const char *at = strstr(text, name); at; at = strstr(at + 1, name)) {
		char next = at[strlen(name)];

		if (!isalnum((unsigned char)next) && next != '-')
			return true;
	}
	return false;
}

/* Every option of the table must stand in @p text, long form as @p prefix and its name; its letter
 * before that, with @p between the two (NULL: anywhere). */
static void assert_names_all(const char *where, const char *text, const char *prefix,
			     const char *between)
{
	for (size_t i = 0; i < ML_OPTION_COUNT; i++) {
		const struct ml_option *option = &ml_option_table[i];
		char name[64];

		if (option->letter && between)
			snprintf(name, sizeof(name), "-%c%s%s%s", option->letter, between, prefix,
				 option->name);
		else
			snprintf(name, sizeof(name), "%s%s", prefix, option->name);
		if (!stands_in(text, name))
			fail_msg("%s does not know %s", where, name);
	}
}

static void help_names_all(void **state)
{
	ML_FREE_CLEANUP char *help = ml_options_help();

	assert_names_all("--help", help, "--", ", ");
	for (char *line = strtok(help, "\n"); line; line = strtok(NULL, "\n")) {
		if (strlen(line) > 100)
			fail_msg("line of --help too long: %s", line);
	}
}

static void assert_file_names_all(const char *path, const char *prefix)
{
	ML_FREE_CLEANUP char *text = NULL;
	struct ml_error *error = ml_file_read(AT_FDCWD, path, 1 << 20, &text, NULL);

	if (error)
		fail_msg("%s", ml_error_message(error));
	assert_names_all(path, text, prefix, NULL);
}

static void files_name_all(void **state)
{
	assert_file_names_all(ML_SOURCE_ROOT "/completions/memleak.bash", "--");
	assert_file_names_all(ML_SOURCE_ROOT "/completions/_memleak", "--");
	assert_file_names_all(ML_SOURCE_ROOT "/completions/memleak.fish", "-l ");
}

/* Adds a man page to @p text; in one a dash is written \-. */
static void add_man_page(struct ml_strbuf *text, const char *path)
{
	ML_FREE_CLEANUP char *page = NULL;
	struct ml_error *error = ml_file_read(AT_FDCWD, path, 1 << 20, &page, NULL);

	if (error)
		fail_msg("%s", ml_error_message(error));
	for (const char *p = page; *p; p++) {
		if (*p != '\\' || p[1] != '-')
			ml_strbuf_putc(text, *p);
	}
}

/* Those of recordings stand in the page of the command they are for. */
static void man_pages_name_all(void **state)
{
	ML_STRBUF_CLEANUP struct ml_strbuf text = {0};

	add_man_page(&text, ML_SOURCE_ROOT "/man/memleak.1");
	add_man_page(&text, ML_SOURCE_ROOT "/man/memleak-report.1");
	assert_names_all("man page", ml_strbuf_text(&text), "--", " \", \" ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),
		cmocka_unit_test(combined_short_options),
		cmocka_unit_test(long_options),
		cmocka_unit_test(command_behind_dashes),
		cmocka_unit_test(repeated_options),
		cmocka_unit_test(formats),
		cmocka_unit_test(doctor),
		cmocka_unit_test(recordings),
		cmocka_unit_test(help_and_version_win),
		cmocka_unit_test(bad_lines),
		cmocka_unit_test(unknown_format_lists_known),
		cmocka_unit_test(help_names_all),
		cmocka_unit_test(files_name_all),
		cmocka_unit_test(man_pages_name_all),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

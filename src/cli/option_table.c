/* SPDX-License-Identifier: BSD-2-Clause */
/** The one list of options. */
#include "cli/number.h"
#include "cli/options.h"

#include "base/strbuf.h"
#include "shared/trace_abi.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

static struct ml_error *parse_pid(const char *text, struct ml_options *options)
{
	if (strchr(text, ','))
		return ml_error_new(ML_ERROR_USAGE,
				    "'%s' is not one process id; for several processes there are "
				    "--follow (children) and --container",
				    text);
	return ml_number_parse(text, 1, INT_MAX, &options->pid);
}

static struct ml_error *parse_sort(const char *text, struct ml_options *options)
{
	if (strcmp(text, "size") && strcmp(text, "count"))
		return ml_error_new(ML_ERROR_USAGE, "'%s' is not one of: size, count", text);
	options->sort = strcmp(text, "size") ? ML_SORT_COUNT : ML_SORT_SIZE;
	return NULL;
}

/* The names a report can have, for the message: those of the contract that this build knows. */
static struct ml_error *unknown_format(const char *text)
{
	static const char *const names[] = {"text", "json",  "folded",   "svg",
					    "html", "pprof", "heaptrack"};
	ML_STRBUF_CLEANUP struct ml_strbuf known = {0};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (ml_report_format_named(names[i]))
			ml_strbuf_printf(&known, "%s%s", known.length ? ", " : "", names[i]);
	}
	return ml_error_new(ML_ERROR_USAGE, "'%s' is not one of: %s", text, ml_strbuf_text(&known));
}

static struct ml_error *parse_format(const char *text, struct ml_options *options)
{
	const struct ml_report_format *format = ml_report_format_named(text);

	if (!format)
		return unknown_format(text);
	options->format = format;
	return NULL;
}

static struct ml_error *parse_json(const char *text, struct ml_options *options)
{
	options->format = &ml_report_json;
	return NULL;
}

/* The number of the word @p text among three. */
static struct ml_error *parse_word(const char *text, const char *const names[3], unsigned int *out)
{
	for (unsigned int i = 0; i < 3; i++) {
		if (!strcmp(text, names[i])) {
			*out = i;
			return NULL;
		}
	}
	return ml_error_new(ML_ERROR_USAGE, "'%s' is not one of: %s, %s, %s", text, names[0],
			    names[1], names[2]);
}

static struct ml_error *parse_from(const char *text, struct ml_options *options)
{
	return ml_point_parse(text, &options->from);
}

static struct ml_error *parse_to(const char *text, struct ml_options *options)
{
	struct ml_error *error = ml_point_parse(text, &options->to);

	if (!error && options->to.kind == ML_POINT_LAST_MARK)
		return ml_error_new(ML_ERROR_USAGE, "'%s': say which mark, by its number", text);
	return error;
}

static struct ml_error *parse_backend(const char *text, struct ml_options *options)
{
	static const char *const names[] = {"auto", "bpf", "agent"};

	return parse_word(text, names, &options->backend);
}

static struct ml_error *parse_color(const char *text, struct ml_options *options)
{
	static const char *const names[] = {"auto", "always", "never"};

	return parse_word(text, names, &options->color);
}

static struct ml_error *parse_overhead(const char *text, struct ml_options *options)
{
	char *end;
	double percent = strtod(text, &end);

	if (*text < '0' || *text > '9' || *end || percent <= 0 || percent > 1000)
		return ml_error_new(ML_ERROR_USAGE,
				    "'%s' is not a percentage above 0 and up to 1000", text);
	options->max_overhead = percent / 100;
	return NULL;
}

#define MEMBER(name) offsetof(struct ml_options, name)

const struct ml_option ml_option_table[ML_OPTION_COUNT] = {
	[ML_OPTION_PID] = {"pid", 'p', ML_ARGUMENT_PARSED, "PID", .parse = parse_pid,
			   .heading = "What to trace (none of -p, -c, --container: the kernel)",
			   .help = "trace this process"},
	[ML_OPTION_COMMAND] =
		{"command", 'c', ML_ARGUMENT_TEXT, "CMD", MEMBER(command),
		 .help = "start CMD (words and quotes as in a shell, PATH is searched)\n"
			 "and trace it from its first allocation; same as: -- CMD ARG..."},
	[ML_OPTION_CONTAINER] = {"container", 0, ML_ARGUMENT_TEXT, "NAME|ID", MEMBER(container),
				 .help = "trace every process whose cgroup names this container"},
	[ML_OPTION_FOLLOW] = {"follow", 'f', ML_ARGUMENT_NONE, NULL, MEMBER(follow),
			      .help = "trace children too, through fork and exec"},
	[ML_OPTION_OBJ] = {"obj", 'O', ML_ARGUMENT_TEXT, "OBJ", MEMBER(object),
			   .heading = "Which functions and allocations",
			   .help = "look for allocators only in this mapped file (name or path)"},
	[ML_OPTION_SYMBOLS_PREFIX] =
		{"symbols-prefix", 'S', ML_ARGUMENT_TEXT, "PREFIX", MEMBER(symbols_prefix),
		 .help = "also PREFIXmalloc, PREFIXfree, ... (je_ for example)"},
	[ML_OPTION_ALLOC_FN] =
		{"alloc-fn", 0, ML_ARGUMENT_LIST, "NAME[:SIZE[:COUNT]]", MEMBER(alloc_fns),
		 .help = "this function allocates; SIZE and COUNT number its arguments\n"
			 "(repeatable)"},
	[ML_OPTION_FREE_FN] = {"free-fn", 0, ML_ARGUMENT_LIST, "NAME", MEMBER(free_fns),
			       .help = "this function frees its first argument (repeatable)"},
	[ML_OPTION_PERCPU] = {"percpu", 'P', ML_ARGUMENT_NONE, NULL, MEMBER(percpu),
			      .help = "kernel: trace per-CPU allocations"},
	[ML_OPTION_WA_MISSING_FREE] =
		{"wa-missing-free", 'F', ML_ARGUMENT_NONE, NULL, MEMBER(wa_missing_free),
		 .help = "kernel: an allocation of a known address also counts\n"
			 "as the free that was not seen"},
	[ML_OPTION_OLDER] = {"older", 'o', ML_ARGUMENT_NUMBER, "MS", MEMBER(older_ms),
			     .max = 1000ULL * 3600 * 24 * 365,
			     .help = "show only blocks at least this old (default 500 ms)"},
	[ML_OPTION_MIN_SIZE] = {"min-size", 'z', ML_ARGUMENT_NUMBER, "BYTES", MEMBER(min_size),
				.max = UINT64_MAX,
				.help = "leave out allocations smaller than this"},
	[ML_OPTION_MAX_SIZE] = {"max-size", 'Z', ML_ARGUMENT_NUMBER, "BYTES", MEMBER(max_size), 1,
				UINT64_MAX, .help = "leave out allocations larger than this"},
	[ML_OPTION_SAMPLE_RATE] = {"sample-rate", 's', ML_ARGUMENT_NUMBER, "N",
				   MEMBER(sample_every), 1, UINT32_MAX,
				   .help = "look at every Nth allocation (default 1: all)"},
	[ML_OPTION_SAMPLE_BYTES] =
		{"sample-bytes", 0, ML_ARGUMENT_NUMBER, "N", MEMBER(sample_bytes), 1, 1ULL << 40,
		 .help = "look at one allocation in N bytes on average and scale up"},
	[ML_OPTION_TOP] = {"top", 'T', ML_ARGUMENT_NUMBER, "N", MEMBER(top), 1, UINT32_MAX,
			   .heading = "Reports", .help = "show this many stacks (default 10)"},
	[ML_OPTION_SORT] = {"sort", 0, ML_ARGUMENT_PARSED, "size|count", .parse = parse_sort,
			    .help = "what makes a stack come first (default size)"},
	[ML_OPTION_SHOW_ALLOCS] = {"show-allocs", 'a', ML_ARGUMENT_NONE, NULL, MEMBER(show_allocs),
				   .help = "show each block: address and size"},
	[ML_OPTION_COMBINED_ONLY] =
		{"combined-only", 'C', ML_ARGUMENT_NONE, NULL, MEMBER(combined_only),
		 .help = "show the totals of each stack only; ages are not looked at"},
	[ML_OPTION_TRACE] = {"trace", 't', ML_ARGUMENT_NONE, NULL, MEMBER(trace_calls),
			     .help = "print each call instead of reports"},
	[ML_OPTION_JSON] = {"json", 0, ML_ARGUMENT_PARSED, NULL, .parse = parse_json,
			    .help = "same as --format json"},
	[ML_OPTION_FORMAT] =
		{"format", 0, ML_ARGUMENT_PARSED, "NAME", .parse = parse_format,
		 .help = "text, json (one document a line), folded (stacks for flame\n"
			 "graphs), pprof, heaptrack, svg or html (a page to pass on); from\n"
			 "folded on the last report only"},
	[ML_OPTION_OUTPUT] = {"output", 'w', ML_ARGUMENT_TEXT, "FILE", MEMBER(output),
			      .help = "write reports to FILE ('-' is the standard output);\n"
				      "a name that ends in .ml: record everything there, for\n"
				      "memleak report and diff, and report as usual"},
	[ML_OPTION_COLOR] = {"color", 0, ML_ARGUMENT_PARSED, "auto|always|never",
			     .parse = parse_color,
			     .help = "colours in text (default auto: on a terminal, unless\n"
				     "NO_COLOR is set)"},
	[ML_OPTION_LIVE] = {"live", 0, ML_ARGUMENT_NONE, NULL, MEMBER(live),
			    .help = "a full-screen view that is kept up to date (every second\n"
				    "unless INTERVAL says otherwise); the report at the end only"},
	[ML_OPTION_FAIL_ON_LEAK] =
		{"fail-on-leak", 0, ML_ARGUMENT_NONE, NULL, MEMBER(fail_on_leak),
		 .help = "exit 1 when the last report judges a stack to be a leak"},
	[ML_OPTION_SUPPRESSIONS] =
		{"suppressions", 0, ML_ARGUMENT_TEXT, "FILE", MEMBER(suppressions),
		 .help = "leave out stacks that match (LeakSanitizer's leak:PATTERN\n"
			 "lines)"},
	[ML_OPTION_WRAPPER] =
		{"wrapper", 0, ML_ARGUMENT_LIST, "PATTERN", MEMBER(wrappers),
		 .help = "functions like this only allocate for others: look further out\n"
			 "for where a leak comes from (repeatable; * and ? as in a shell)"},
	[ML_OPTION_BASELINE] = {"baseline", 0, ML_ARGUMENT_TEXT, "FILE.ml", MEMBER(baseline),
				.help = "leave out stacks that are known in this recording"},
	[ML_OPTION_SINCE_MARK] =
		{"since-mark", 0, ML_ARGUMENT_MAYBE, "[=N]", MEMBER(since_mark), 1, UINT64_MAX,
		 .help = "only what was allocated after mark N (default: the last one);\n"
			 "each SIGUSR1 to memleak sets a mark"},
	[ML_OPTION_AT] = {"at", 0, ML_ARGUMENT_PARSED, "WHEN", .parse = parse_to,
			  .heading = "Moments of a recording (report and diff)",
			  .help = "as it was then: end, start, the number of a mark, +SECONDS,\n"
				  "HH:MM:SS or 2026-01-23T03:00:41"},
	[ML_OPTION_FROM] = {"from", 0, ML_ARGUMENT_PARSED, "WHEN", .parse = parse_from,
			    .help = "only what came after that"},
	[ML_OPTION_TO] = {"to", 0, ML_ARGUMENT_PARSED, "WHEN", .parse = parse_to,
			  .help = "same as --at"},
	[ML_OPTION_BACKEND] = {"backend", 0, ML_ARGUMENT_PARSED, "auto|bpf|agent",
			       .parse = parse_backend, .heading = "How",
			       .help = "how to trace (default auto: from the kernel where that\n"
				       "works and is cheap enough, else from inside the process)"},
	[ML_OPTION_MAX_OVERHEAD] = {"max-overhead", 0, ML_ARGUMENT_PARSED, "PCT",
				    .parse = parse_overhead,
				    .help = "by how much --backend auto may slow the target down\n"
					    "(default 5 percent of its CPU time)"},
	[ML_OPTION_STACK_STORAGE_SIZE] = {"stack-storage-size", 0, ML_ARGUMENT_NUMBER, "N",
					  MEMBER(max_stacks), 1, 1 << 24,
					  .help = "different stacks that can be kept"},
	[ML_OPTION_MAX_DEPTH] = {"perf-max-stack-depth", 0, ML_ARGUMENT_NUMBER, "N",
				 MEMBER(max_depth), 1, ML_STACK_DEPTH,
				 .help = "frames kept of a stack, up to 127 (default 127)"},
	[ML_OPTION_MAX_BLOCKS] = {"max-blocks", 0, ML_ARGUMENT_NUMBER, "N", MEMBER(max_blocks), 1,
				  1 << 28, .help = "live blocks that can be kept"},
	[ML_OPTION_REPAIR] = {"repair", 0, ML_ARGUMENT_NONE, NULL, MEMBER(repair),
			      .help = "doctor: take out what a memleak that was killed left in\n"
				      "the process"},
	[ML_OPTION_VERBOSE] = {"verbose", 'v', ML_ARGUMENT_NONE, NULL, MEMBER(verbose),
			       .help = "say on standard error what is done"},
	[ML_OPTION_HELP] = {"help", 'h', ML_ARGUMENT_NONE, NULL, MEMBER(show_help),
			    .heading = "Other", .help = "this text"},
	[ML_OPTION_VERSION] = {"version", 'V', ML_ARGUMENT_NONE, NULL, MEMBER(show_version),
			       .help = "the version"},
};

/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * The command line, parsed. One table (option_table.c) drives the parser, the help text and the
 * checks of man page and shell completions.
 */
#ifndef ML_CLI_OPTIONS_H
#define ML_CLI_OPTIONS_H

#include "base/array.h"
#include "base/error.h"
#include "record/point.h"
#include "report/report.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Every option, in the order of --help. */
enum ml_option_id {
	ML_OPTION_PID,
	ML_OPTION_COMMAND,
	ML_OPTION_CONTAINER,
	ML_OPTION_FOLLOW,
	ML_OPTION_OBJ,
	ML_OPTION_SYMBOLS_PREFIX,
	ML_OPTION_ALLOC_FN,
	ML_OPTION_FREE_FN,
	ML_OPTION_PERCPU,
	ML_OPTION_WA_MISSING_FREE,
	ML_OPTION_OLDER,
	ML_OPTION_MIN_SIZE,
	ML_OPTION_MAX_SIZE,
	ML_OPTION_SAMPLE_RATE,
	ML_OPTION_SAMPLE_BYTES,
	ML_OPTION_TOP,
	ML_OPTION_SORT,
	ML_OPTION_SHOW_ALLOCS,
	ML_OPTION_COMBINED_ONLY,
	ML_OPTION_TRACE,
	ML_OPTION_JSON,
	ML_OPTION_FORMAT,
	ML_OPTION_OUTPUT,
	ML_OPTION_COLOR,
	ML_OPTION_LIVE,
	ML_OPTION_FAIL_ON_LEAK,
	ML_OPTION_SUPPRESSIONS,
	ML_OPTION_WRAPPER,
	ML_OPTION_BASELINE,
	ML_OPTION_SINCE_MARK,
	ML_OPTION_AT,
	ML_OPTION_FROM,
	ML_OPTION_TO,
	ML_OPTION_BACKEND,
	ML_OPTION_MAX_OVERHEAD,
	ML_OPTION_STACK_STORAGE_SIZE,
	ML_OPTION_MAX_DEPTH,
	ML_OPTION_MAX_BLOCKS,
	ML_OPTION_REPAIR,
	ML_OPTION_VERBOSE,
	ML_OPTION_HELP,
	ML_OPTION_VERSION,
	ML_OPTION_COUNT,
};

/** Words of a repeatable option, NULL-terminated when there is one (borrowed from argv). */
typedef ML_ARRAY(const char *) ml_option_words;

/** What to do. Tracing has no word of its own. */
enum ml_subcommand { ML_COMMAND_TRACE, ML_COMMAND_DOCTOR, ML_COMMAND_REPORT, ML_COMMAND_DIFF };

/** Files a subcommand can be given. */
#define ML_OPTIONS_FILES 2

/** When reports have colours. */
enum ml_color { ML_COLOR_AUTO, ML_COLOR_ALWAYS, ML_COLOR_NEVER };

enum ml_backend { ML_BACKEND_AUTO, ML_BACKEND_BPF, ML_BACKEND_AGENT };

/** What the user asked for. Strings are borrowed from argv unless said otherwise. */
struct ml_options {
	enum ml_subcommand subcommand;
	const char *files[ML_OPTIONS_FILES]; /**< of report and diff; NULL when not given */
	uint64_t given;                      /**< bit 1 << id for each option that was given */
	/* the target: one of these, or none for the kernel */
	uint64_t pid;        /**< 0 = none */
	const char *command; /**< -c, as typed */
	char *const *words;  /**< behind "--"; NULL-terminated, NULL = none */
	const char *container;
	bool follow;
	/* which allocations */
	const char *object;
	const char *symbols_prefix;
	ml_option_words alloc_fns, free_fns;
	bool percpu;
	bool wa_missing_free;
	uint64_t older_ms;
	uint64_t min_size;
	uint64_t max_size; /**< 0 = none */
	uint64_t sample_every;
	uint64_t sample_bytes; /**< 0 = off */
	/* reports */
	uint64_t interval_ns;
	uint64_t count; /**< 0 = no end */
	uint64_t top;
	enum ml_report_sort sort;
	bool show_allocs;
	bool combined_only;
	bool trace_calls;
	const struct ml_report_format *format;
	const char *output; /**< NULL or "-" = stdout; a recording when ml_options_records() */
	enum ml_color color;
	bool live; /**< a full-screen view; reports only at the end */
	bool fail_on_leak;
	const char *suppressions;
	ml_option_words wrappers;
	const char *baseline;     /**< a recording */
	uint64_t since_mark;      /**< 0 = the last one; when given */
	struct ml_point from, to; /**< when given; --at is to */
	/* how */
	enum ml_backend backend;
	double max_overhead; /**< share of the target's CPU time that tracing may take, 0 to 1 */
	bool repair;         /**< doctor */
	uint64_t max_stacks, max_depth, max_blocks; /**< 0 = default */
	bool verbose;
	bool show_help, show_version;
};

/** What an option takes. */
enum ml_argument {
	ML_ARGUMENT_NONE,   /**< sets a bool */
	ML_ARGUMENT_NUMBER, /**< a whole number from min to max: uint64_t */
	ML_ARGUMENT_TEXT,   /**< const char * */
	ML_ARGUMENT_LIST,   /**< added to an ml_option_words */
	ML_ARGUMENT_PARSED, /**< given to parse() */
	ML_ARGUMENT_MAYBE,  /**< a number behind "=", or nothing: uint64_t */
};

/** One line of the table. */
struct ml_option {
	const char *name; /**< without the dashes */
	char letter;      /**< 0 = no short form */
	enum ml_argument argument;
	const char *argument_name; /**< "MS"; NULL for ML_ARGUMENT_NONE */
	size_t member;             /**< offset in struct ml_options; not for ML_ARGUMENT_PARSED */
	uint64_t min, max;         /**< of numbers */
	struct ml_error *(*parse)(const char *text, struct ml_options *options);
	const char *heading; /**< starts a group of the help text here, or NULL */
	const char *help;    /**< lines cut by \n */
};

extern const struct ml_option ml_option_table[ML_OPTION_COUNT];

static inline bool ml_options_has(const struct ml_options *options, enum ml_option_id id)
{
	return options->given >> id & 1;
}

/** True when --output names a recording, by the end of its name. */
bool ml_options_records(const struct ml_options *options);

/** True when neither process, command nor container was named. */
bool ml_options_is_kernel(const struct ml_options *options);

/**
 * Parses a command line, @p argv[0] being the program's name. @p out lives as long as @p argv;
 * ml_options_deinit() it. ML_ERROR_USAGE in one line. With --help or --version nothing is checked.
 */
struct ml_error *ml_options_parse(int argc, char **argv, struct ml_options *out);
void ml_options_deinit(struct ml_options *options);

/** Checks that what was given can be used together. */
struct ml_error *ml_options_check(const struct ml_options *options);

/** The text of --help; free() it. */
char *ml_options_help(void);

#endif

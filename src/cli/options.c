/* SPDX-License-Identifier: BSD-2-Clause */
/** getopt_long() driven by the table, and what cannot be combined. */
#include "cli/options.h"

#include "base/clock.h"
#include "base/strbuf.h"
#include "cli/number.h"

#include <getopt.h>
#include <string.h>

#define GETOPT_BASE 256 /* getopt's value of option id 0: above any letter */

/* Longest name is far shorter; the edit distance needs a row of this size. */
#define NAME_MAX_LENGTH 40

struct parser {
	struct ml_options *options;
	unsigned int positionals;
};

bool ml_options_is_kernel(const struct ml_options *options)
{
	return !options->pid && !options->command && !options->words && !options->container;
}

bool ml_options_records(const struct ml_options *options)
{
	static const char suffix[] = ".ml";
	const char *name = options->output ? options->output : "";
	size_t length = strlen(name);

	return length >= sizeof(suffix) && !strcmp(name + length - (sizeof(suffix) - 1), suffix);
}

void ml_options_deinit(struct ml_options *options)
{
	ml_array_free(&options->alloc_fns);
	ml_array_free(&options->wrappers);
	ml_array_free(&options->free_fns);
}

/* Letters insert, delete or replace to get from a to b. */
static unsigned int edit_distance(const char *a, const char *b)
{
	unsigned int row[NAME_MAX_LENGTH + 1];
	size_t width = strlen(b);

	for (size_t j = 0; j <= width; j++)
		row[j] = (unsigned int)j;
	for (size_t i = 0; a[i]; i++) {
		unsigned int diagonal = row[0];

		row[0] = (unsigned int)i + 1;
		for (size_t j = 0; j < width; j++) {
			unsigned int best = diagonal + (a[i] != b[j]);

			diagonal = row[j + 1];
			best = best < row[j] + 1 ? best : row[j] + 1;
			row[j + 1] = best < diagonal + 1 ? best : diagonal + 1;
		}
	}
	return row[width];
}

static struct ml_error *unknown_long(const char *word)
{
	size_t length = strcspn(word, "=");
	char name[NAME_MAX_LENGTH + 1];
	const char *nearest = NULL;
	unsigned int best = 4;

	if (length <= NAME_MAX_LENGTH) {
		memcpy(name, word, length);
		name[length] = '\0';
		for (size_t i = 0; i < ML_OPTION_COUNT; i++) {
			unsigned int distance = edit_distance(name, ml_option_table[i].name);

			if (distance < best && distance < length) {
				best = distance;
				nearest = ml_option_table[i].name;
			}
		}
	}
	if (nearest)
		return ml_error_new(ML_ERROR_USAGE, "no option --%.*s; nearest is --%s",
				    (int)length, word, nearest);
	return ml_error_new(ML_ERROR_USAGE, "no option --%.*s; memleak --help lists them",
			    (int)length, word);
}

/* True when the name (up to '=') starts more than one option: getopt calls that unknown, too. */
static bool is_ambiguous(const char *word)
{
	size_t length = strcspn(word, "=");
	unsigned int matches = 0;

	for (size_t i = 0; i < ML_OPTION_COUNT; i++)
		matches += !strncmp(ml_option_table[i].name, word, length);
	return length && matches > 1;
}

/* getopt said '?': optopt is 0 for an unknown long name, our value for a long option that was given
 * an argument it does not take, else the letter. */
static struct ml_error *refuse(const char *word)
{
	if (optopt >= GETOPT_BASE)
		return ml_error_new(ML_ERROR_USAGE, "--%s takes no argument",
				    ml_option_table[optopt - GETOPT_BASE].name);
	if (optopt)
		return ml_error_new(ML_ERROR_USAGE, "no option -%c; memleak --help lists them",
				    optopt);
	word += strspn(word, "-");
	if (is_ambiguous(word))
		return ml_error_new(ML_ERROR_USAGE, "--%s could be several options", word);
	return unknown_long(word);
}

static const struct ml_option *option_of(int value)
{
	if (value >= GETOPT_BASE && value < GETOPT_BASE + ML_OPTION_COUNT)
		return &ml_option_table[value - GETOPT_BASE];
	for (size_t i = 0; i < ML_OPTION_COUNT; i++) {
		if (ml_option_table[i].letter == value)
			return &ml_option_table[i];
	}
	return NULL;
}

static void add_word(ml_option_words *words, const char *text)
{
	if (words->count)
		words->count--;
	*ml_array_push(words) = text;
	*ml_array_push(words) = NULL;
}

static struct ml_error *take_option(const struct ml_option *option, const char *text,
				    struct ml_options *options)
{
	void *member = (char *)options + option->member;
	struct ml_error *error = NULL;

	options->given |= 1ULL << (option - ml_option_table);
	switch (option->argument) {
	case ML_ARGUMENT_NONE:
		*(bool *)member = true;
		break;
	case ML_ARGUMENT_NUMBER:
		error = ml_number_parse(text, option->min, option->max, member);
		break;
	case ML_ARGUMENT_PARSED:
		error = option->parse(text, options);
		break;
	case ML_ARGUMENT_MAYBE:
		if (text)
			error = ml_number_parse(text, option->min, option->max, member);
		break;
	case ML_ARGUMENT_TEXT:
	case ML_ARGUMENT_LIST:
		if (!*text)
			error = ml_error_new(ML_ERROR_USAGE, "must not be empty");
		else if (option->argument == ML_ARGUMENT_LIST)
			add_word(member, text);
		else
			*(const char **)member = text;
		break;
	}
	return error ? ml_error_wrap(error, "--%s", option->name) : NULL;
}

static struct ml_error *take_interval(struct ml_options *options, const char *text)
{
	static const char *const later[] = {"watch", "heap"};
	struct ml_error *error = ml_number_seconds(text, &options->interval_ns);

	if (!error)
		return NULL;
	if (!*text || strchr("-+.0123456789", *text))
		return ml_error_wrap(error, "INTERVAL");
	ml_error_free(error);
	for (size_t i = 0; i < sizeof(later) / sizeof(later[0]); i++) {
		if (!strcmp(text, later[i]))
			return ml_error_new(ML_ERROR_USAGE, "'%s' is not in this version", text);
	}
	return ml_error_new(ML_ERROR_USAGE,
			    "INTERVAL: '%s' is not a number of seconds (to trace a command: "
			    "memleak -- %s)",
			    text, text);
}

/* The first word may name what to do. */
static bool take_subcommand(struct ml_options *options, const char *text)
{
	static const struct {
		const char *word;
		enum ml_subcommand subcommand;
	} words[] = {
		{"doctor", ML_COMMAND_DOCTOR},
		{"report", ML_COMMAND_REPORT},
		{"diff", ML_COMMAND_DIFF},
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (!strcmp(text, words[i].word)) {
			options->subcommand = words[i].subcommand;
			return true;
		}
	}
	return false;
}

static struct ml_error *take_file(struct ml_options *options, const char *text)
{
	bool is_diff = options->subcommand == ML_COMMAND_DIFF;

	for (size_t i = 0; i < (is_diff ? 2 : 1); i++) {
		if (!options->files[i]) {
			options->files[i] = text;
			return NULL;
		}
	}
	return ml_error_new(ML_ERROR_USAGE, "'%s': %s", text,
			    is_diff ? "diff takes two recordings at most"
				    : "report takes one recording");
}

/* What follows "--" is a command, or names of files that look like options. */
static struct ml_error *take_words(struct parser *parser, char **words)
{
	struct ml_error *error = NULL;

	if (parser->options->subcommand == ML_COMMAND_TRACE ||
	    parser->options->subcommand == ML_COMMAND_DOCTOR) {
		parser->options->words = words;
		return NULL;
	}
	for (; *words && !error; words++)
		error = take_file(parser->options, *words);
	return error;
}

static struct ml_error *take_positional(struct parser *parser, const char *text)
{
	struct ml_error *error;

	if (parser->options->subcommand == ML_COMMAND_DOCTOR)
		return ml_error_new(ML_ERROR_USAGE, "'%s': doctor takes options only", text);
	if (parser->options->subcommand != ML_COMMAND_TRACE)
		return take_file(parser->options, text);
	switch (parser->positionals++) {
	case 0:
		if (take_subcommand(parser->options, text))
			return NULL;
		return take_interval(parser->options, text);
	case 1:
		error = ml_number_parse(text, 1, UINT64_MAX, &parser->options->count);
		return error ? ml_error_wrap(error, "COUNT") : NULL;
	default:
		return ml_error_new(ML_ERROR_USAGE, "'%s': only INTERVAL and COUNT can be given",
				    text);
	}
}

/* The table as getopt wants it. "-": words come in order, so that INTERVAL and what follows "--"
 * can be told apart; ":": getopt prints nothing. */
static void fill_getopt(struct option *longs, struct ml_strbuf *letters)
{
	ml_strbuf_puts(letters, "-:");
	for (size_t i = 0; i < ML_OPTION_COUNT; i++) {
		const struct ml_option *option = &ml_option_table[i];
		bool takes = option->argument_name != NULL;
		int how = option->argument == ML_ARGUMENT_MAYBE ? optional_argument
			  : takes                               ? required_argument
								: no_argument;

		longs[i] = (struct option){option->name, how, NULL, GETOPT_BASE + (int)i};
		if (option->letter)
			ml_strbuf_printf(letters, "%c%s", option->letter, takes ? ":" : "");
	}
	longs[ML_OPTION_COUNT] = (struct option){0};
}

static struct ml_error *take(struct parser *parser, int value, char **argv)
{
	const struct ml_option *option;

	switch (value) {
	case 1:
		return take_positional(parser, optarg);
	case '?':
		if (optopt != '?')
			return refuse(argv[optind - 1]);
		parser->options->show_help = true; /* -?, as bcc's libbpf memleak */
		return NULL;
	case ':':
		option = option_of(optopt);
		return ml_error_new(ML_ERROR_USAGE, "--%s needs an argument: %s", option->name,
				    option->argument_name);
	default:
		return take_option(option_of(value), optarg, parser->options);
	}
}

struct ml_error *ml_options_parse(int argc, char **argv, struct ml_options *out)
{
	ML_STRBUF_CLEANUP struct ml_strbuf letters = {0};
	struct option longs[ML_OPTION_COUNT + 1];
	struct ml_options options = {
		.older_ms = 500,
		.max_overhead = 0.05,
		.sample_every = 1,
		.top = 10,
		.interval_ns = 0,
		.format = &ml_report_text,
	};
	struct parser parser = {.options = &options};
	struct ml_error *error = NULL;
	int value;

	fill_getopt(longs, &letters);
	optind = 0; /* glibc: start anew, also for a second command line in one process */
	while (!error && !options.show_help && !options.show_version &&
	       (value = getopt_long(argc, argv, letters.text, longs, NULL)) != -1)
		error = take(&parser, value, argv);
	if (!error && !options.show_help && !options.show_version) {
		if (optind < argc)
			error = take_words(&parser, argv + optind);
		else if (options.subcommand == ML_COMMAND_TRACE && optind > 1 &&
			 !strcmp(argv[optind - 1], "--"))
			error = ml_error_new(ML_ERROR_USAGE, "a command must follow --");
		if (!options.interval_ns)
			options.interval_ns = (options.live ? 1 : 5) * ML_NS_PER_SECOND;
		if (!error)
			error = ml_options_check(&options);
	}
	if (error)
		ml_options_deinit(&options);
	else
		*out = options;
	return error;
}

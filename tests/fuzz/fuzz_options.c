/* SPDX-License-Identifier: BSD-2-Clause */
/** A command line, one word a line; and the whole input as the command of -c. */
#include "fuzz.h"

#include "base/array.h"
#include "cli/options.h"
#include "target/launch.h"

#define WORDS_MAX 64

static void parse_options(char *text)
{
	char *words[WORDS_MAX + 2] = {"memleak"};
	struct ml_options options;
	int count = 1;
	char *rest = text;

	for (char *word; count <= WORDS_MAX && (word = strsep(&rest, "\n"));)
		words[count++] = word;

	struct ml_error *error = ml_options_parse(count, words, &options);

	if (error) {
		FUZZ_CHECK(ml_error_kind(error) == ML_ERROR_USAGE);
		FUZZ_CHECK(strchr(ml_error_message(error), '\n') == NULL);
	} else {
		ml_options_deinit(&options);
	}
	ml_error_free(error);
}

static void cut_words(const char *text, size_t size)
{
	char **words = NULL;
	struct ml_error *error = ml_launch_words(text, &words);
	size_t length = 0;

	if (error)
		FUZZ_CHECK(ml_error_kind(error) == ML_ERROR_USAGE);
	else
		FUZZ_CHECK(words[0]);
	for (size_t i = 0; !error && words[i]; i++)
		length += strlen(words[i]);
	FUZZ_CHECK(length <= size);
	free(words);
	ml_error_free(error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);

	cut_words(text, size);
	parse_options(text);
	free(text);
	return 0;
}

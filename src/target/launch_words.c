/* SPDX-License-Identifier: BSD-2-Clause */
#include "target/launch.h"

#include "base/array.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n';
}

/* Whether a backslash before @p c means something between the quotes @p quote ('\0' for none). */
static bool is_escape(char c, char quote)
{
	if (quote == '"')
		return c && strchr("\"\\$`", c);
	return !quote;
}

/*
 * Copies one word from *@p from to *@p to (with its NUL) and moves both on. False when it ends
 * inside quotes or with a lone backslash.
 */
static bool copy_word(const char **from, char **to)
{
	const char *in = *from;
	char *out = *to;
	char quote = '\0';

	for (; *in && (quote || !is_blank(*in)); in++) {
		if (*in == '\\' && is_escape(in[1], quote)) {
			if (!*++in)
				return false;
			*out++ = *in;
		} else if (quote && *in == quote) {
			quote = '\0';
		} else if (!quote && (*in == '\'' || *in == '"')) {
			quote = *in;
		} else {
			*out++ = *in;
		}
	}
	*out++ = '\0';
	*from = in;
	*to = out;
	return !quote;
}

struct ml_error *ml_launch_words(const char *command, char ***words)
{
	/* Every word but the last takes a blank, so there are at most half as many as bytes. */
	size_t length = strlen(command);
	size_t slots = length / 2 + 2;
	char **list = ml_alloc(slots * sizeof(*list) + length + 1);
	char *text = (char *)(list + slots);
	size_t count = 0;

	for (;;) {
		while (is_blank(*command))
			command++;
		if (!*command)
			break;
		list[count++] = text;
		if (!copy_word(&command, &text)) {
			free(list);
			return ml_error_new(ML_ERROR_USAGE,
					    "the command ends inside quotes or with a backslash");
		}
	}
	if (!count) {
		free(list);
		return ml_error_new(ML_ERROR_USAGE, "the command is empty");
	}
	*words = list;
	return NULL;
}

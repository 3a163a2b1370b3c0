/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ml_error {
	enum ml_error_kind kind;
	int code;
	char *message;
};

/* Returned when there is no memory for a real one: freeing or wrapping it does nothing. */
static struct ml_error out_of_memory = {
	.kind = ML_ERROR_SYSTEM,
	.message = (char *)"out of memory",
};

static struct ml_error *error_make(enum ml_error_kind kind, int code, char *message)
{
	struct ml_error *error = message ? malloc(sizeof(*error)) : NULL;

	if (!error) {
		free(message);
		return &out_of_memory;
	}
	*error = (struct ml_error){.kind = kind, .code = code, .message = message};
	return error;
}

static char *format_text(const char *format, va_list args)
{
	char *text;

	return vasprintf(&text, format, args) < 0 ? NULL : text;
}

struct ml_error *ml_error_new(enum ml_error_kind kind, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	char *text = format_text(format, args);
	va_end(args);
	return error_make(kind, 0, text);
}

struct ml_error *ml_error_errno(int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	char *what = format_text(format, args);
	va_end(args);

	char *text = NULL;
	if (what && asprintf(&text, "%s: %s", what, strerror(err)) < 0)
		text = NULL;
	free(what);
	return error_make(ML_ERROR_SYSTEM, err, text);
}

struct ml_error *ml_error_coded(enum ml_error_kind kind, int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	char *text = format_text(format, args);
	va_end(args);
	return error_make(kind, err, text);
}

struct ml_error *ml_error_wrap(struct ml_error *error, const char *format, ...)
{
	if (error == &out_of_memory)
		return error;

	va_list args;

	va_start(args, format);
	char *context = format_text(format, args);
	va_end(args);

	char *text = NULL;
	if (context && asprintf(&text, "%s: %s", context, error->message) >= 0) {
		free(error->message);
		error->message = text;
	}
	free(context);
	return error;
}

const char *ml_error_message(const struct ml_error *error)
{
	return error->message;
}

enum ml_error_kind ml_error_kind(const struct ml_error *error)
{
	return error->kind;
}

int ml_error_code(const struct ml_error *error)
{
	return error->code;
}

void ml_error_free(struct ml_error *error)
{
	if (!error || error == &out_of_memory)
		return;
	free(error->message);
	free(error);
}

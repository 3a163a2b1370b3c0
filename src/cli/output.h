/* SPDX-License-Identifier: BSD-2-Clause */
/** Where reports go: the standard output or a file. Every write is checked. */
#ifndef ML_CLI_OUTPUT_H
#define ML_CLI_OUTPUT_H

#include "base/error.h"
#include "cli/options.h"

#include <stdbool.h>
#include <stddef.h>

struct ml_output {
	int fd;
	const char *name; /**< for errors; borrowed */
	bool is_stdout;
};

/**
 * Opens @p path (borrowed) for reports, emptying a file that exists; NULL and "-" are the standard
 * output. Done before anything is attached, so that a bad path costs nothing.
 */
struct ml_error *ml_output_open(const char *path, struct ml_output *out);

/**
 * Writes all of @p text. A reader that went away is an error of code EPIPE (SIGPIPE must be blocked
 * or ignored).
 */
struct ml_error *ml_output_write(struct ml_output *output, const char *text, size_t length);

/** Whether text for @p output has colours: a terminal's, unless NO_COLOR (no-color.org) is set. */
bool ml_output_uses_colour(const struct ml_output *output, enum ml_color color);

/** Closes a file; a file system that reports a failed write only now is an error, too. */
struct ml_error *ml_output_close(struct ml_output *output);

#endif

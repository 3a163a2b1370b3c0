/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/output.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct ml_error *ml_output_open(const char *path, struct ml_output *out)
{
	if (!path || !strcmp(path, "-")) {
		*out = (struct ml_output){STDOUT_FILENO, "standard output", true};
		return NULL;
	}
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0)
		return ml_error_errno(errno, "cannot write to %s", path);
	*out = (struct ml_output){fd, path, false};
	return NULL;
}

struct ml_error *ml_output_write(struct ml_output *output, const char *text, size_t length)
{
	while (length) {
		ssize_t written = write(output->fd, text, length);

		if (written >= 0) {
			text += written;
			length -= (size_t)written;
		} else if (errno == EAGAIN) {
			/* A terminal or pipe somebody else made non-blocking. */
			struct pollfd ready = {.fd = output->fd, .events = POLLOUT};

			poll(&ready, 1, -1);
		} else if (errno != EINTR) {
			return ml_error_errno(errno, "cannot write a report to %s", output->name);
		}
	}
	return NULL;
}

bool ml_output_uses_colour(const struct ml_output *output, enum ml_color color)
{
	const char *type = getenv("TERM");
	const char *no_color = getenv("NO_COLOR");

	if (color != ML_COLOR_AUTO)
		return color == ML_COLOR_ALWAYS;
	return isatty(output->fd) && (!no_color || !*no_color) && type && strcmp(type, "dumb");
}

struct ml_error *ml_output_close(struct ml_output *output)
{
	int fd = output->fd;

	if (output->is_stdout || fd < 0)
		return NULL;
	output->fd = -1;
	/* EINTR: Linux has closed the descriptor all the same, see close(2). */
	if (close(fd) < 0 && errno != EINTR)
		return ml_error_errno(errno, "cannot write a report to %s", output->name);
	return NULL;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "live/messages.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Bytes kept for the end; of more, the beginning. */
#define KEPT_BYTES 65536u

struct ml_error *ml_messages_open(struct ml_messages *messages)
{
	int ends[2];

	*messages = (struct ml_messages){.pipe_fd = -1, .stderr_fd = -1};
	/* Not blocking: a message that does not fit is lost rather than the tool stopped. */
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return ml_error_errno(errno, "cannot take messages");
	messages->pipe_fd = ends[0];
	if (isatty(STDERR_FILENO)) {
		fflush(stderr);
		messages->stderr_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
		if (messages->stderr_fd < 0 || dup2(ends[1], STDERR_FILENO) < 0) {
			struct ml_error *error = ml_error_errno(errno, "cannot take messages");

			close(ends[1]);
			return error;
		}
	}
	close(ends[1]);
	return NULL;
}

int ml_messages_fd(const struct ml_messages *messages)
{
	return messages->pipe_fd;
}

static void take_newest(struct ml_messages *messages, const char *text, size_t length)
{
	const char *end = text + length;

	while (end > text && end[-1] == '\n')
		end--;
	const char *start = memrchr(text, '\n', (size_t)(end - text));

	start = start ? start + 1 : text;
	snprintf(messages->newest, sizeof(messages->newest), "%.*s", (int)(end - start), start);
}

void ml_messages_read(struct ml_messages *messages)
{
	char text[4096];
	ssize_t length;

	while ((length = read(messages->pipe_fd, text, sizeof(text))) > 0) {
		take_newest(messages, text, (size_t)length);
		if (messages->text.length + (size_t)length <= KEPT_BYTES)
			ml_strbuf_add(&messages->text, text, (size_t)length);
	}
}

const char *ml_messages_newest(const struct ml_messages *messages)
{
	return messages->newest[0] ? messages->newest : NULL;
}

void ml_messages_seen(struct ml_messages *messages)
{
	messages->newest[0] = '\0';
}

void ml_messages_close(struct ml_messages *messages)
{
	if (messages->stderr_fd >= 0) {
		fflush(stderr);
		ml_messages_read(messages);
		dup2(messages->stderr_fd, STDERR_FILENO);
		close(messages->stderr_fd);
		fwrite(ml_strbuf_text(&messages->text), 1, messages->text.length, stderr);
	}
	if (messages->pipe_fd >= 0)
		close(messages->pipe_fd);
	ml_strbuf_free(&messages->text);
	*messages = (struct ml_messages){.pipe_fd = -1, .stderr_fd = -1};
}

/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * What is written to the standard error while the screen is taken: caught in a pipe, shown one line
 * at a time, and written out at the end.
 */
#ifndef ML_LIVE_MESSAGES_H
#define ML_LIVE_MESSAGES_H

#include "base/error.h"
#include "base/strbuf.h"

#include <stdbool.h>

struct ml_messages {
	int pipe_fd;   /**< what is read; -1 when closed */
	int stderr_fd; /**< the standard error as it was */
	struct ml_strbuf text;
	char newest[256]; /**< empty when the user has seen it */
};

/** Takes the standard error over when it is a terminal; elsewhere it disturbs nothing. */
struct ml_error *ml_messages_open(struct ml_messages *messages);

/** For epoll. */
int ml_messages_fd(const struct ml_messages *messages);

/** Reads what was written. */
void ml_messages_read(struct ml_messages *messages);

/** The last line the user has not seen; NULL when there is none. */
const char *ml_messages_newest(const struct ml_messages *messages);

/** The user has seen all lines so far. */
void ml_messages_seen(struct ml_messages *messages);

/** Gives the standard error back and writes to it what was caught. */
void ml_messages_close(struct ml_messages *messages);

#endif

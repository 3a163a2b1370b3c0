/* SPDX-License-Identifier: BSD-2-Clause */
/** Recordings by name. */
#ifndef ML_CLI_REPLAY_FILE_H
#define ML_CLI_REPLAY_FILE_H

#include "record/replay.h"

/**
 * Opens the recording called @p path ("-" is the standard input) and builds the report that
 * @p replay says. Both are the caller's, the report to be freed first.
 */
struct ml_error *ml_replay_file(const char *path, const struct ml_replay *replay,
				struct ml_recording **recording, struct ml_report *report);

/** The number of the last mark in recording @p path; 0 when there is none. */
struct ml_error *ml_replay_file_last_mark(const char *path, uint64_t *number);

#endif

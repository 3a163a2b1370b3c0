/* SPDX-License-Identifier: BSD-2-Clause */
/** The file a run is recorded in (-w FILE.ml). */
#ifndef ML_CLI_RECORD_FILE_H
#define ML_CLI_RECORD_FILE_H

#include "cli/output.h"
#include "record/recorder.h"

/** All-zero records nothing. */
struct ml_record_file {
	struct ml_output output;
	struct ml_recorder *recorder; /**< NULL: nothing is recorded (any more) */
	struct ml_error *problem;     /**< why recording ended early; the run went on */
};

/** Creates file @p path (borrowed) and writes its beginning. */
struct ml_error *ml_record_file_open(const char *path, struct ml_record_file *out);

/**
 * Appends a moment. What cannot be written ends the recording, not the run: it is said at once,
 * and kept as `problem`.
 */
void ml_record_file_add(struct ml_record_file *file, const struct ml_recorded_moment *moment);

/** Writes the end and closes the file; returns the problem, if there was one. */
struct ml_error *ml_record_file_end(struct ml_record_file *file);

/** Closes what is still open, without an end. */
void ml_record_file_deinit(struct ml_record_file *file);

#endif

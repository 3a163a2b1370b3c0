/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Reads a recording moment by moment, and makes the report of the moment reached.
 *
 * A recording is hostile input: reading one takes bounded memory and time (record/budget.h). One
 * that was cut off is read up to its last whole moment, and says so.
 */
#ifndef ML_RECORD_RECORDING_H
#define ML_RECORD_RECORDING_H

#include "base/error.h"
#include "record/budget.h"
#include "report/report.h"

#include <stdbool.h>

struct ml_recording;

/**
 * Takes @p fd over (also on failure) and reads the header. @p name is what people call the file;
 * copied. ML_ERROR_FORMAT says what is wrong with it.
 */
struct ml_error *ml_recording_open(int fd, const char *name, struct ml_record_budget limits,
				   struct ml_recording **out);
/** NULL is fine. */
void ml_recording_close(struct ml_recording *recording);

/**
 * Goes on to the next moment. *@p is_there is false at the end. ML_ERROR_FORMAT when the
 * recording makes no sense, or takes more than the limits; the recording is of no use then.
 */
struct ml_error *ml_recording_next(struct ml_recording *recording, bool *is_there);

/**
 * The time and the mark of the moment that ml_recording_next() would go to, without going there.
 */
struct ml_recording_ahead {
	struct timespec time;
	double elapsed_s;
	uint64_t mark;
};
struct ml_error *ml_recording_peek(struct ml_recording *recording, bool *is_there,
				   struct ml_recording_ahead *out);

/** The moment reached. Lives until the next one. */
struct ml_recording_moment {
	/** Target and moment as the run's own report had them; no sites. Strings are the
	 * recording's. */
	struct ml_report report;
	enum ml_report_sort sort;
	uint64_t mark;            /**< the number of the mark set at this moment, 0 = none */
	const char *const *notes; /**< remarks of the run on this report */
	size_t note_count;
	const struct ml_snapshot *snapshot;
};
const struct ml_recording_moment *ml_recording_moment(const struct ml_recording *recording);

/** Why the recording ends before its run did, in words; NULL when it does not, or not reached. */
const char *ml_recording_early_end(const struct ml_recording *recording);

/**
 * Fills in @p input all that building a report of the moment reached takes, with @p snapshot in
 * place of the recorded one when it is not NULL. Borrowed from the recording.
 */
void ml_recording_input(struct ml_recording *recording, const struct ml_snapshot *snapshot,
			struct ml_report_input *input);

#endif

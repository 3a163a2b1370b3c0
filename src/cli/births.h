/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Processes born of others, as the kernel's perf events tell of them: to know of those that
 * following has missed, since their parent was let go for a moment or could not be followed.
 */
#ifndef ML_CLI_BIRTHS_H
#define ML_CLI_BIRTHS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct ml_births;

/** Begins to listen; NULL where perf does not let us. */
struct ml_births *ml_births_open(void);

/** NULL is fine, here and below. */
void ml_births_close(struct ml_births *births);

/** @p child is known, by whatever way. */
void ml_births_told(struct ml_births *births, pid_t child);

/** Reads what there is; @p is_ours says whose children matter. */
void ml_births_read(struct ml_births *births, bool (*is_ours)(void *context, pid_t parent),
		    void *context);

/** How many of those read a second ago and before (@p all: of all) nobody has told of. */
uint64_t ml_births_missed(struct ml_births *births, bool all);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/** Noticing that a thread of a running process has got a system call filter. */
#ifndef ML_INJECT_FILTER_WATCH_H
#define ML_INJECT_FILTER_WATCH_H

#include "base/array.h"
#include "base/u64map.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/** All-zero has seen nothing. */
struct ml_filter_watch {
	struct ml_u64map threads; /**< by tid, what a thread had when it was last looked at */
	ML_ARRAY(uint64_t) kinds; /**< of all that some thread had at the beginning */
	size_t next;              /**< the thread to be looked at next */
};

/** Takes note of what all threads have, which is to be checked after it. */
void ml_filter_watch_begin(struct ml_filter_watch *watch, pid_t pid);

/**
 * True when a thread has got a filter since. The main thread is always looked at, others as many as
 * can be in a millisecond, in turn. One that was born since has what another had.
 */
bool ml_filter_watch_look(struct ml_filter_watch *watch, pid_t pid);

void ml_filter_watch_free(struct ml_filter_watch *watch);

#endif

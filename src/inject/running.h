/* SPDX-License-Identifier: BSD-2-Clause */
/** Which threads of a process run. */
#ifndef ML_INJECT_RUNNING_H
#define ML_INJECT_RUNNING_H

#include <stdbool.h>
#include <sys/types.h>

/** Whether thread @p tid of @p pid runs, or waits for a processor. */
bool ml_running_is(pid_t pid, pid_t tid);

/**
 * Whether so many threads of @p pid run that one that is stopped alone, and made to run calls,
 * would wait long for a processor each time it goes on, and it takes less to stop them all.
 */
bool ml_running_is_crowd(pid_t pid);

#endif

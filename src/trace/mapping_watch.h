/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * News of executable mappings, execs and the ends of processes, by perf's side-band records
 * (PERF_RECORD_MMAP2, PERF_RECORD_COMM with the exec bit): one ring a CPU, for all processes,
 * because an event on one process would miss its other threads.
 */
#ifndef ML_TRACE_MAPPING_WATCH_H
#define ML_TRACE_MAPPING_WATCH_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct ml_mapping_watch;

/** Opens the rings. ML_ERROR_SYSTEM where perf_event_open is not allowed. */
struct ml_error *ml_mapping_watch_open(struct ml_mapping_watch **out);
/** NULL is fine. */
void ml_mapping_watch_close(struct ml_mapping_watch *watch);

/** For epoll: readable when there is news. Borrowed. */
int ml_mapping_watch_fd(const struct ml_mapping_watch *watch);

/** What happened to process @p pid: @p is_exec, else a file was mapped executable. */
typedef void ml_mapping_news(void *context, pid_t pid, bool is_exec);

/** Tells @p news everything that is in the rings; gives how many records were lost. */
uint64_t ml_mapping_watch_read(struct ml_mapping_watch *watch, ml_mapping_news *news,
			       void *context);

#endif

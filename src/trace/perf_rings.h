/* SPDX-License-Identifier: BSD-2-Clause */
/** One perf event on each CPU, with the rings its records come in. */
#ifndef ML_TRACE_PERF_RINGS_H
#define ML_TRACE_PERF_RINGS_H

#include "base/error.h"

#include <linux/perf_event.h>
#include <stdbool.h>
#include <stddef.h>

struct ml_perf_rings;

/** So much of a record is shown. */
#define ML_PERF_RECORD_BYTES 64

/** Opens @p attr for all processes; @p what says in errors what for. */
struct ml_error *ml_perf_rings_open(struct perf_event_attr *attr, const char *what,
				    struct ml_perf_rings **out);
/** NULL is fine. */
void ml_perf_rings_close(struct ml_perf_rings *rings);

/** A descriptor for epoll. */
int ml_perf_rings_fd(const struct ml_perf_rings *rings);

/** Lets the events count, or not. */
void ml_perf_rings_enable(const struct ml_perf_rings *rings, bool on);

/** Takes all records out; what @p visit gets is zero behind the record's end. */
void ml_perf_rings_read(const struct ml_perf_rings *rings,
			void (*visit)(void *context, const struct perf_event_header *record),
			void *context);

#endif

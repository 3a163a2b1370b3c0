/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * The dynamic loaders of the traced processes: what they load is told before its code runs, and
 * they wait (bpf/loader.bpf.h) until it was dealt with.
 */
#ifndef ML_TRACE_BPF_LOADS_H
#define ML_TRACE_BPF_LOADS_H

#include "base/error.h"

#include <stdbool.h>
#include <sys/types.h>

struct ml_bpf_loads;

/**
 * @p heard_fd and @p events_fd: the maps loads_heard and load_events, borrowed. @p hear is called
 * for each load of process @p pid; when it returns the loader goes on, unless it @p went_on, tired
 * of waiting.
 */
struct ml_error *ml_bpf_loads_open(int heard_fd, int events_fd,
				   void (*hear)(void *context, pid_t pid, bool went_on),
				   void *context, struct ml_bpf_loads **out);
/** NULL is fine. */
void ml_bpf_loads_close(struct ml_bpf_loads *loads);

/** For epoll: readable when a loader waits. Borrowed. */
int ml_bpf_loads_fd(const struct ml_bpf_loads *loads);

/** From here on the loader of @p pid waits: somebody is there to dispatch. */
void ml_bpf_loads_listen(struct ml_bpf_loads *loads, pid_t pid);

/** Deals with the loads that wait. */
void ml_bpf_loads_dispatch(struct ml_bpf_loads *loads);

#endif

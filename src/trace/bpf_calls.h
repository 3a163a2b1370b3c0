/* SPDX-License-Identifier: BSD-2-Clause */
/** The ring of struct ml_call_event for --trace, read and decoded. */
#ifndef ML_TRACE_BPF_CALLS_H
#define ML_TRACE_BPF_CALLS_H

#include "base/error.h"
#include "trace/tracer.h"

#include <stddef.h>

struct ml_bpf_calls;

/**
 * Opens the ring buffer map @p map_fd. @p functions names what was probed, by the id in the events;
 * an id outside is shown as the role's usual name. The table is borrowed (its owner may let it grow
 * and tell by ml_bpf_calls_set_functions()).
 */
struct ml_error *ml_bpf_calls_open(int map_fd, const char *const *functions, size_t count,
				   struct ml_bpf_calls **out);

/** The table of names as it is now; borrowed. */
void ml_bpf_calls_set_functions(struct ml_bpf_calls *calls, const char *const *functions,
				size_t count);

/** For epoll: readable when there are events. Borrowed. */
int ml_bpf_calls_fd(const struct ml_bpf_calls *calls);

/** Gives every waiting event to @p sink; the call and its strings live until sink returns. */
void ml_bpf_calls_dispatch(struct ml_bpf_calls *calls,
			   void (*sink)(void *context, const struct ml_traced_call *call),
			   void *context);

/** NULL is fine. */
void ml_bpf_calls_close(struct ml_bpf_calls *calls);

#endif

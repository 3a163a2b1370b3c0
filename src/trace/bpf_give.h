/* SPDX-License-Identifier: BSD-2-Clause */
/** Giving the blocks of a process away that another tracer takes over. */
#ifndef ML_TRACE_BPF_GIVE_H
#define ML_TRACE_BPF_GIVE_H

#include "trace/agent_prior.h"
#include "trace/bpf_books.h"

/** Takes all blocks of @p pid, which nothing is booked of any more, out of @p books: they count as
 * freed there. */
struct ml_error *ml_bpf_give(const struct ml_bpf_books *books, pid_t pid, ml_prior_blocks *out);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/** Taking one process out of the books in the kernel. */
#ifndef ML_TRACE_BPF_FORGET_H
#define ML_TRACE_BPF_FORGET_H

#include "trace/bpf_books.h"

#include <sys/types.h>

/** Deletes the live blocks, sites and stacks of process @p pid; nothing may be probed in it any
 * more. */
void ml_bpf_forget(const struct ml_bpf_books *books, pid_t pid);

#endif

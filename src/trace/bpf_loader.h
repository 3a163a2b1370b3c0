/* SPDX-License-Identifier: BSD-2-Clause */
/** Loads the programs that trace processes, with tables of the sizes asked for. */
#ifndef ML_TRACE_BPF_LOADER_H
#define ML_TRACE_BPF_LOADER_H

#include "base/error.h"
#include "trace/tracer.h"
#include "trace/uprobe_link.h"

#include <stddef.h>

struct ml_user_bpf;

struct ml_bpf_loaded {
	struct ml_user_bpf *skeleton; /**< owned by the caller: ml_user_bpf__destroy() */
	enum ml_link_kind kind;       /**< of link that the programs were loaded for */
	size_t row_limit, page_limit; /**< entries of the unwind tables */
};

/**
 * Loads and configures the programs. Where the kernel has not enough memory (a small container),
 * tables whose size the user left open are made smaller, which is said as a note.
 */
struct ml_error *ml_bpf_load_user(const struct ml_tracer_options *options,
				  struct ml_bpf_loaded *out);

#endif

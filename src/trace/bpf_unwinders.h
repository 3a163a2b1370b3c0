/* SPDX-License-Identifier: BSD-2-Clause */
/** Probes at the unwinders of a process, for exceptions through functions that are probed. */
#ifndef ML_TRACE_BPF_UNWINDERS_H
#define ML_TRACE_BPF_UNWINDERS_H

#include "trace/bpf_process.h"

/**
 * Probes those that are new, when one of @p allocators' functions may throw; to be called before
 * these are probed. Sets lacks_unwinder of @p process.
 */
void ml_bpf_unwinders_probe(struct ml_bpf_process *process, const struct ml_bpf_attach *attach,
			    const struct ml_allocators *allocators);

#endif

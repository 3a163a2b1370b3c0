/* SPDX-License-Identifier: BSD-2-Clause */
/** What BPF programs cost, as the kernel measures it. */
#ifndef ML_TRACE_BPF_COST_H
#define ML_TRACE_BPF_COST_H

#include <stdint.h>

struct bpf_object;

/** Sums over the programs of an object. */
struct ml_bpf_cost {
	uint64_t run_ns; /**< CPU time in the programs; 0 unless measuring was on */
	uint64_t runs;   /**< times they ran; 0 unless measuring was on */
	uint64_t missed; /**< times one was not run because it was running already on that CPU */
};

/**
 * Makes the kernel measure its BPF programs until the descriptor given back is closed (about 20 ns
 * a run); -1 when it does not (before Linux 5.8, or not permitted).
 */
int ml_bpf_cost_start(void);

/** Adds up the loaded programs of @p object. */
void ml_bpf_cost_read(const struct bpf_object *object, struct ml_bpf_cost *out);

#endif

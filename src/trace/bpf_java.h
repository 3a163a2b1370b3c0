/* SPDX-License-Identifier: BSD-2-Clause */
/** The Java functions of stacks: named as soon as the kernel tells of them, for code and classes
 * are unloaded, and processes end. */
#ifndef ML_TRACE_BPF_JAVA_H
#define ML_TRACE_BPF_JAVA_H

#include "shared/trace_abi.h"
#include "trace/bpf_process.h"
#include "trace/stack_store.h"

/** Reads the names of all Java functions of @p record, a stack of @p process, and keeps them. */
void ml_bpf_java_name(struct ml_bpf_process *process, const struct ml_stack_record *record);

/** Puts @p record together as stack @p id of @p store, like ml_stack_store_add(). */
const struct ml_stack *ml_bpf_java_add(struct ml_stack_store *store, uint64_t id,
				       const struct ml_stack_record *record,
				       struct ml_bpf_process *process,
				       const struct ml_python_stack *python);

#endif

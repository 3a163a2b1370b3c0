/* SPDX-License-Identifier: BSD-2-Clause */
/** The JVM of a traced process, and the names of its functions: they are read as soon as there is a
 * new stack, for code and classes are unloaded, and processes end. */
#ifndef ML_TRACE_JAVA_PROCESS_H
#define ML_TRACE_JAVA_PROCESS_H

#include "shared/trace_abi.h"
#include "trace/stack_store.h"

/** All-zero is ready. */
struct ml_java_process {
	struct ml_java vm;
	struct ml_java_names *names; /**< NULL until there are some */
};

/** Reads the names of all Java functions of @p record, a stack of @p process (NULL: gone), and
 * keeps them. */
void ml_java_process_name(struct ml_java_process *java, const struct ml_process *process,
			  const struct ml_stack_record *record);

/** Puts @p record together as stack @p id of @p store, like ml_stack_store_add(). */
const struct ml_stack *
ml_java_process_add(struct ml_java_process *java, const struct ml_process *process,
		    struct ml_stack_store *store, uint64_t id, const struct ml_stack_record *record,
		    const struct ml_code_map *code, const struct ml_python_stack *python);

void ml_java_process_deinit(struct ml_java_process *java);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/** Stacks put into their modules, once each, by id. */
#ifndef ML_TRACE_STACK_STORE_H
#define ML_TRACE_STACK_STORE_H

#include "model/snapshot.h"
#include "shared/trace_abi.h"
#include "trace/code_map.h"
#include "trace/java_names.h"
#include "trace/python_stack.h"

struct ml_stack_store;

struct ml_stack_store *ml_stack_store_create(void);
/** NULL is fine. */
void ml_stack_store_destroy(struct ml_stack_store *store);

/** The stack @p id, or NULL when it is not here yet. Lives with the store. */
const struct ml_stack *ml_stack_store_get(const struct ml_stack_store *store, uint64_t id);

/** What names the entries of a stack that are Java. */
struct ml_java_namer {
	struct ml_java_names *names;
	const struct ml_java *java;
	const struct ml_java_memory *memory; /**< NULL: the process is gone */
};

/** Keeps @p record as stack @p id, its addresses named by @p code (NULL: the process is unknown)
 * and @p java (NULL: no JVM), with the functions of @p python (NULL: none) before the eval loops
 * that run them.
 */
const struct ml_stack *ml_stack_store_add(struct ml_stack_store *store, uint64_t id,
					  const struct ml_stack_record *record,
					  const struct ml_code_map *code,
					  const struct ml_java_namer *java,
					  const struct ml_python_stack *python);

#endif

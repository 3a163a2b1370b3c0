/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Names of Java functions, read from the structures of a running HotSpot: a stack's entry of
 * compiled code stands for the functions that were inlined there, too.
 */
#ifndef ML_TRACE_JAVA_NAMES_H
#define ML_TRACE_JAVA_NAMES_H

#include "model/snapshot.h"
#include "trace/java_vm.h"

#include <stddef.h>

struct ml_java_names;

struct ml_java_names *ml_java_names_create(void);
/** NULL is fine. */
void ml_java_names_destroy(struct ml_java_names *names);

/** The frames that one entry of a stack stands for, innermost first. */
struct ml_java_frames {
	const struct ml_stack_frame *items; /**< live until the next call for the same names */
	size_t count;
};

/**
 * What @p entry of a stack (struct ml_stack_record) is in the JVM @p java; no frames when it is not
 * in its code, or nothing can be read. With @p memory NULL the process is gone: then only what was
 * asked before is known. Frames of Java have kind ML_FRAME_JAVA, HotSpot's own code ML_FRAME_JIT;
 * their names live with @p names, and are the same for the same line.
 */
struct ml_java_frames ml_java_names_get(struct ml_java_names *names, const struct ml_java *java,
					const struct ml_java_memory *memory, uint64_t entry);

#endif

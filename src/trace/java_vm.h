/* SPDX-License-Identifier: BSD-2-Clause */
/** HotSpot, OpenJDK's virtual machine, in a process: where its code is, and how its structures lie.
 */
#ifndef ML_TRACE_JAVA_VM_H
#define ML_TRACE_JAVA_VM_H

#include "shared/trace_abi.h"
#include "target/process.h"
#include "trace/code_map.h"
#include "trace/java_tables.h"

#include <stdbool.h>

/** All-zero: the process has no JVM. */
struct ml_java {
	bool has_tables;              /**< a JVM is loaded; its code cache may come later */
	struct ml_java_layout layout; /**< for the walk; all-zero while there is no code cache */
	struct ml_java_tables tables;
	uint32_t version;          /**< 17, 21, …; 0 when it does not say */
	uint64_t call_stub_return; /**< where code returns to that native code called */
};

/** The memory of @p process, which must outlive it. */
struct ml_java_memory ml_java_memory_of(const struct ml_process *process);

/**
 * Looks for a JVM in the modules of @p code. What is not as expected is no error: @p out has no
 * layout then. A JVM that was found before is not looked for again, but completed if it was
 * starting.
 */
void ml_java_find(const struct ml_code_map *code, const struct ml_process *process,
		  struct ml_java *out);

/** Reads field @p id of what is at @p base (0 for a static field). False when the version has no
 * such field, too. */
bool ml_java_read_field(const struct ml_java_memory *memory, const struct ml_java *java,
			uint64_t base, enum ml_java_field_id id, uint64_t *out);

/** The same of a JVM whose tables have been read: fills layout, version, call_stub_return. False
 * while its code cache is not complete. */
bool ml_java_read(const struct ml_java_memory *memory, struct ml_java *java);

#endif

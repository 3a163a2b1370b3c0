/* SPDX-License-Identifier: BSD-2-Clause */
/** A piece of HotSpot's code (a CodeBlob), and which methods an address in it is in. */
#ifndef ML_TRACE_JAVA_CODE_H
#define ML_TRACE_JAVA_CODE_H

#include "trace/java_vm.h"

#define ML_JAVA_CODE_NAME_BYTES 64u
#define ML_JAVA_INLINES         64u /**< calls inlined into each other at one address */

struct ml_java_scope {
	uint64_t method; /**< address of the Method */
	uint32_t bci;    /**< ML_JAVA_BCI_UNKNOWN when it is not said */
};

struct ml_java_code {
	uint64_t blob;
	uint64_t start;                     /**< of its code */
	char name[ML_JAVA_CODE_NAME_BYTES]; /**< "nmethod", "StubRoutines (1)", … */
	bool is_method;                     /**< compiled Java, or a call from Java to native */
	uint32_t compilation;               /**< its number, when it is_method */
	uint32_t scope_count;
	struct ml_java_scope scopes[ML_JAVA_INLINES]; /**< innermost first */
};

/** What @p ip (a return address unless !@p is_call) is in; false when there is no code. */
bool ml_java_code_read(const struct ml_java_memory *memory, const struct ml_java *java, uint64_t ip,
		       bool is_call, struct ml_java_code *out);

/** The number of the compilation at @p blob, which an earlier ml_java_code_read() found. */
bool ml_java_code_compilation(const struct ml_java_memory *memory, const struct ml_java *java,
			      uint64_t blob, uint32_t *out);

#endif

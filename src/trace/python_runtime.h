/* SPDX-License-Identifier: BSD-2-Clause */
/** The CPython interpreter (3.11, 3.12, 3.13) in a process, and where its structures keep what. */
#ifndef ML_TRACE_PYTHON_RUNTIME_H
#define ML_TRACE_PYTHON_RUNTIME_H

#include "shared/trace_abi.h"
#include "target/process.h"
#include "trace/code_map.h"

#include <stdint.h>

/** Offsets in a code object, in bytes. */
struct ml_python_code_layout {
	uint32_t first_line;
	uint32_t file;
	uint32_t qualified_name;
	uint32_t line_table;
	uint32_t bytecode;
	uint32_t text;      /**< in a str of ASCII: where its characters are */
	uint32_t wide_text; /**< in any other str */
};

/** All-zero: the process runs no Python that is known. */
struct ml_python {
	struct ml_python_layout layout; /**< for the walk in the kernel */
	struct ml_python_code_layout code;
	uint64_t code_type; /**< address of PyCode_Type: what every code object points to */
	const struct ml_module *module; /**< the interpreter; borrowed */
	uint64_t loop_start, loop_end;  /**< ELF addresses of its eval loop */
};

/**
 * Looks for an interpreter in the modules of @p code. Nothing that is not as expected (the
 * version, for 3.13 the description the interpreter has of itself) is an error: @p out is empty
 * then.
 */
void ml_python_find(const struct ml_code_map *code, const struct ml_process *process,
		    struct ml_python *out);

#endif

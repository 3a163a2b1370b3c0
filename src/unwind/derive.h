/* SPDX-License-Identifier: BSD-2-Clause */
/** Rows for code without CFI, derived from what its instructions do to the stack. */
#ifndef ML_UNWIND_DERIVE_H
#define ML_UNWIND_DERIVE_H

#include "unwind/functions.h"

/**
 * Follows the code of @p module from its function symbols, calls and taken addresses, and adds rows
 * for what @p functions (sorted, before and after) does not cover: for a C library without CFI
 * (musl). Code that is reached only by jump tables, or that moves rsp by a register, gets none.
 * Large modules are left alone: time and memory are bounded by the size of the code, at most 4 MiB.
 */
void ml_derive_functions(struct ml_module *module, const struct ml_text *text,
			 struct ml_functions *functions);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/** Functions that do nothing but jump to another one. */
#ifndef ML_ALLOCATORS_THUNK_H
#define ML_ALLOCATORS_THUNK_H

#include "allocators/code.h"
#include "elf/module.h"
#include "shared/trace_abi.h"

/** Where a thunk goes: to an ELF address of its module, or by name through the PLT or GOT. */
struct ml_thunk {
	uint64_t address; /**< 0 when it goes by name */
	const char *name; /**< lives with the module; NULL when it goes by address */
};

/**
 * True when every call of the function at @p address of @p module ends in a jump to one other
 * function: a few instructions without branches, then the jump. A function of the role
 * ML_ROLE_FREE may return early for a null pointer.
 */
bool ml_thunk_find(struct ml_module *module, uint64_t address, const struct ml_code *code,
		   enum ml_role role, struct ml_thunk *out);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/** The words through which a module reaches functions by name: its global offset table. */
#ifndef ML_ELF_IMPORTS_H
#define ML_ELF_IMPORTS_H

#include "elf/module.h"

struct ml_import {
	uint64_t slot;    /**< ELF address of the word */
	const char *name; /**< gone once the visit returns */
	bool is_jump;     /**< R_X86_64_JUMP_SLOT: nothing but a jump uses it */
};

/** Calls @p visit for every JUMP_SLOT and GLOB_DAT relocation with a name. */
void ml_module_each_import(struct ml_module *module,
			   void (*visit)(void *context, const struct ml_import *import),
			   void *context);

/**
 * True when the code of @p module uses the word at @p slot for nothing but calls and jumps through
 * it, as far as its bytes tell: what looks like another use counts as one.
 */
bool ml_module_only_calls_by(struct ml_module *module, uint64_t slot);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/** Where the code of a module is: its executable segments and entry point. */
#ifndef ML_UNWIND_CODE_H
#define ML_UNWIND_CODE_H

#include "elf/module.h"

/* A linker makes one or two executable segments; post-link optimizers add one. */
#define ML_CODE_SEGMENT_LIMIT 16

struct ml_code {
	uint64_t base;  /**< the lowest segment's address, rounded down to a page */
	uint64_t entry; /**< e_entry, 0 when the file has none */
	size_t count;
	struct {
		uint64_t start;
		uint64_t end;
	} segments[ML_CODE_SEGMENT_LIMIT];
};

/** Reads the program headers. A module without code gives count 0. */
void ml_code_read(struct ml_module *module, struct ml_code *out);

/**
 * Makes ELF range [start, start + size) relative to code->base and cuts it where its segment ends.
 * False when it is empty or does not start in code, or lies further away than rows reach.
 */
bool ml_code_clip(const struct ml_code *code, uint64_t start, uint64_t size, uint32_t *pc,
		  uint32_t *end);

/** Where section @p name is, without reading its contents; 0 when there is none. */
uint64_t ml_code_section_address(struct ml_module *module, const char *name);

#endif

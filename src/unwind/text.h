/* SPDX-License-Identifier: BSD-2-Clause */
/** Where the code of a module is: its executable segments and entry point. */
#ifndef ML_UNWIND_TEXT_H
#define ML_UNWIND_TEXT_H

#include "elf/module.h"

/* A linker makes one or two executable segments; post-link optimizers add one. */
#define ML_TEXT_SEGMENT_LIMIT 16

struct ml_text {
	uint64_t base;  /**< the lowest segment's address, rounded down to a page */
	uint64_t entry; /**< e_entry, 0 when the file has none */
	size_t count;
	struct {
		uint64_t start;
		uint64_t end;
	} segments[ML_TEXT_SEGMENT_LIMIT];
};

/** Reads the program headers. A module without code gives count 0. */
void ml_text_read(struct ml_module *module, struct ml_text *out);

/**
 * Makes ELF range [start, start + size) relative to text->base and cuts it where its segment ends.
 * False when it is empty or does not start in text, or lies further away than rows reach.
 */
bool ml_text_clip(const struct ml_text *text, uint64_t start, uint64_t size, uint32_t *pc,
		  uint32_t *end);

/**
 * ELF address of the first byte of a mapping of code that begins at @p offset of the file; the load
 * bias is where it is mapped minus this. Not ml_module_address_of_offset(): a mapping begins at a
 * page, and lld and gold let that page of the file also hold the end of the segment before.
 */
bool ml_text_address_of_mapping(struct ml_module *module, uint64_t offset, uint64_t *address);

/** Where section @p name is, without reading its contents; 0 when there is none. */
uint64_t ml_text_section_address(struct ml_module *module, const char *name);

#endif

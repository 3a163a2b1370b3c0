/* SPDX-License-Identifier: BSD-2-Clause */
/** Source lines and inlined functions of one module, out of its DWARF. */
#ifndef ML_SYMBOLS_DEBUG_INFO_H
#define ML_SYMBOLS_DEBUG_INFO_H

#include "base/array.h"
#include "elf/module.h"
#include "symbols/debug_file.h"

struct ml_dwarf;

/** One function at an address; strings live as long as the struct ml_dwarf. */
struct ml_dwarf_frame {
	const char *name; /**< mangled where the compiler says so; NULL when unknown */
	const char *file; /**< NULL when unknown */
	int line;         /**< 0 when unknown */
	uint64_t start;   /**< where the function's code begins; 0 when unknown */
	bool is_inlined;  /**< into the next frame */
};

struct ml_dwarf_frames {
	ML_ARRAY(struct ml_dwarf_frame) list; /**< innermost first */
};

/**
 * The DWARF in @p fd (taken over), the module itself or its debug file; NULL when there is none
 * that can be read. @p opener finds the supplementary file.
 */
struct ml_dwarf *ml_dwarf_open(struct ml_module *module, int fd,
			       const struct ml_file_opener *opener);
void ml_dwarf_close(struct ml_dwarf *dwarf);

/** What is known about @p address; empties @p out first. */
void ml_dwarf_lookup(struct ml_dwarf *dwarf, uint64_t address, struct ml_dwarf_frames *out);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/** CFI compiled into sorted rows: what the walkers in the kernel and in the tests search. */
#ifndef ML_UNWIND_ROWS_H
#define ML_UNWIND_ROWS_H

#include "base/error.h"
#include "elf/module.h"
#include "shared/unwind_rows.h"

#include <stddef.h>
#include <stdint.h>

/** The table of one module. pcs are relative to `base`, so that 32 bits do for any load address. */
struct ml_unwind_rows {
	uint64_t base; /**< ELF address of pc 0: the lowest executable segment, rounded down to a
			  page */
	struct ml_unwind_row *rows; /**< sorted by pc; owned */
	size_t count;
	/** pages[i]: index of the first row with pc >= (page_base + i) << ML_UNWIND_PAGE_SHIFT;
	 * owned. page_count + 1 entries, the last one is `count`. */
	uint32_t *pages;
	uint32_t page_base; /**< number of the page of the first row */
	uint32_t page_count;
	size_t bad_count; /**< rows of kind ML_CFA_BAD: rules the rows cannot tell */
};

/**
 * Compiles .eh_frame (or, when it has none, .debug_frame) of @p module. A module without CFI gives
 * an empty table (count 0) and no error. Time and memory are bounded by the size of the section:
 * damaged CFI is dropped from the damage on, or an error when nothing could be read.
 */
struct ml_error *ml_unwind_rows_build(struct ml_module *module, struct ml_unwind_rows *out);

/** The row in effect at @p pc (relative to rows->base); kind ML_CFA_NONE when none is. */
struct ml_unwind_row ml_unwind_rows_find(const struct ml_unwind_rows *rows, uint32_t pc);

void ml_unwind_rows_deinit(struct ml_unwind_rows *rows);

#endif

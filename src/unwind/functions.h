/* SPDX-License-Identifier: BSD-2-Clause */
/** The functions of a module that have CFI, and the few others whose frames are known. */
#ifndef ML_UNWIND_FUNCTIONS_H
#define ML_UNWIND_FUNCTIONS_H

#include "base/array.h"
#include "base/u64map.h"
#include "unwind/cfi.h"
#include "unwind/frame.h"
#include "unwind/text.h"

/** A CIE with the rules its instructions leave: where each of its FDEs starts from. */
struct ml_function_cie {
	const struct ml_cfi_section *section;
	struct ml_cfi_cie cie;
	struct ml_frame initial;
};

/* ml_function.cie of code without CFI whose only row is known: it is packed into `record`. */
#define ML_FUNCTION_ROW UINT32_MAX

/** Code [pc, end), relative to the base of the code. */
struct ml_function {
	uint32_t pc;
	uint32_t end;
	uint32_t record; /**< offset of the FDE in the section of its CIE */
	uint32_t cie;    /**< index of the CIE, or ML_FUNCTION_ROW */
};

/** All functions; all-zero is empty. */
struct ml_functions {
	ML_ARRAY(struct ml_function) list; /**< sorted by pc once ml_functions_sort() ran */
	size_t sorted_count;               /**< the first ones, which ml_functions_sort() saw */
	ML_ARRAY(struct ml_function_cie) cies;
	size_t damaged_count; /**< records that could not be read */
};

/**
 * Adds the FDEs of @p section, which must live as long as @p functions, in no order. Those that
 * start inside a function that is sorted in already are left out.
 */
void ml_functions_add_section(struct ml_functions *functions, const struct ml_text *text,
			      const struct ml_cfi_section *section);

/** Adds [start, start + size), where @p row holds, unless a sorted function covers @p start. */
void ml_functions_add_row(struct ml_functions *functions, const struct ml_text *text,
			  uint64_t start, uint64_t size, struct ml_unwind_row row);

/** The same also where a function is: @p row holds there, whatever its CFI says. */
void ml_functions_replace_row(struct ml_functions *functions, const struct ml_text *text,
			      uint64_t start, uint64_t size, struct ml_unwind_row row);

/** The row of a function that was added with one. */
struct ml_unwind_row ml_function_row(const struct ml_function *function);

/**
 * Sorts by pc and cuts overlaps the way libgcc's search resolves them: at any pc the function that
 * started last counts (of equal starts, the first in the section).
 */
void ml_functions_sort(struct ml_functions *functions);

/** Whether a sorted function covers @p address. */
bool ml_functions_cover(const struct ml_functions *functions, const struct ml_text *text,
			uint64_t address);

void ml_functions_deinit(struct ml_functions *functions);

#endif

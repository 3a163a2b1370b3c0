/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * The code of functions in split DWARF. libdw would read it only after it has opened the split file
 * itself, by a path that the target wrote, in the root of this machine.
 */
#ifndef ML_SYMBOLS_SPLIT_RANGES_H
#define ML_SYMBOLS_SPLIT_RANGES_H

#include "symbols/dwarf_image.h"
#include "symbols/dwarf_scopes.h"

/** What the ranges of a split unit refer to. */
struct ml_split_ranges {
	unsigned int version;            /**< of DWARF: 4 (GNU's) or 5 */
	uint8_t offset_size;             /**< of the unit: 4, or 8 in the 64-bit format */
	uint64_t base;                   /**< DW_AT_low_pc of the skeleton */
	struct ml_dwarf_bytes addresses; /**< of the unit, from the first on */
	struct ml_dwarf_bytes lists;     /**< version 4: from DW_AT_GNU_ranges_base on */
};

/** The ranges of @p die into @p out, at most @p limit; how many. */
size_t ml_split_ranges_read(const struct ml_split_ranges *split, Dwarf_Die *die,
			    struct ml_dwarf_range *out, size_t limit);

#endif

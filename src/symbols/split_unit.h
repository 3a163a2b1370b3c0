/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Split DWARF (-gsplit-dwarf): units of which the program has only a skeleton. The rest is in a
 * .dwo file, or in the package PROGRAM.dwp beside the program.
 */
#ifndef ML_SYMBOLS_SPLIT_UNIT_H
#define ML_SYMBOLS_SPLIT_UNIT_H

#include "symbols/debug_file.h"
#include "symbols/dwarf_image.h"
#include "symbols/split_package.h"
#include "symbols/split_ranges.h"

/** Where the split units of one module come from; all-zero but for the first three. */
struct ml_split_source {
	struct ml_module *module;            /**< borrowed, like what follows */
	const struct ml_file_opener *opener; /**< paths are the target's */
	const struct ml_dwarf_image *main;   /**< where the skeletons are */
	struct ml_split_package *package;    /**< the .dwp; NULL: none */
	bool is_package_known;               /**< has been looked for */
	uint64_t bytes_used;                 /**< by the units that were opened */
};

struct ml_split_unit {
	struct ml_dwarf_image image; /**< a DWARF of the unit alone */
	Dwarf_Die die;               /**< its root */
	struct ml_split_ranges ranges;
};

/** True when @p unit is the skeleton of a split unit. */
bool ml_split_unit_is_skeleton(Dwarf_Die *unit);

/** The rest of @p skeleton, or NULL when it is not to be found. */
struct ml_split_unit *ml_split_unit_open(struct ml_split_source *source, Dwarf_Die *skeleton);

void ml_split_unit_close(struct ml_split_unit *unit);

/** Closes the package, after all units. */
void ml_split_source_deinit(struct ml_split_source *source);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/** Packages (.dwp) of split DWARF: the units of a program in one file, with an index. */
#ifndef ML_SYMBOLS_SPLIT_PACKAGE_H
#define ML_SYMBOLS_SPLIT_PACKAGE_H

#include "symbols/dwarf_image.h"

/** The parts of @p package that make up unit @p id; false when it is not in there. */
bool ml_split_package_find(const struct ml_image *package, uint64_t id,
			   struct ml_dwarf_part parts[ML_DWARF_SECTIONS]);

#endif

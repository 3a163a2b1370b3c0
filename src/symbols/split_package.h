/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Packages (.dwp) of split DWARF: the units of a program in one file, with an index.
 *
 * Type units, which have an index of their own, are left alone: what lookups ask for (names and
 * lines of functions) is in the compile units.
 */
#ifndef ML_SYMBOLS_SPLIT_PACKAGE_H
#define ML_SYMBOLS_SPLIT_PACKAGE_H

#include "symbols/dwarf_image.h"

struct ml_split_package;

/** The package in @p fd (taken over, also on failure), called @p path; NULL when it is none. */
struct ml_split_package *ml_split_package_open(int fd, const char *path);

/** NULL is fine. To be closed after all images made of its parts. */
void ml_split_package_close(struct ml_split_package *package);

/** The file that the parts of units are sections of. */
const struct ml_image *ml_split_package_image(const struct ml_split_package *package);

/** The parts of @p package that make up unit @p id; false when it is not in there. */
bool ml_split_package_find(struct ml_split_package *package, uint64_t id,
			   struct ml_dwarf_part parts[ML_DWARF_SECTIONS]);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/** The tables behind ml_allocator_is_wrapper() and ml_allocator_is_internal(). */
#ifndef ML_ALLOCATORS_NAMES_H
#define ML_ALLOCATORS_NAMES_H

#include <stdbool.h>

/** The tables must be sorted; true when they are. For the tests. */
bool ml_names_are_sorted(void);

#endif

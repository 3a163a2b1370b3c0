/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Where glibc keeps memory that nobody uses: between the blocks of the arenas of threads, and the
 * stacks of threads that have ended, which it keeps for later ones. Both are full of old pointers.
 */
#ifndef ML_HEAP_DEAD_H
#define ML_HEAP_DEAD_H

#include "base/array.h"
#include "target/maps.h"
#include "target/process.h"

#include <stdint.h>

struct ml_dead_range {
	uint64_t start, end;
};

/** Sorted by address. */
typedef ML_ARRAY(struct ml_dead_range) ml_dead_ranges;

/**
 * What of @p maps is dead in the stopped @p process; blocks that live there are still blocks.
 * @p thread_pointer is the main thread's. Finds nothing where it does not know its way: with other
 * C libraries, and of stacks before glibc 2.34. For ml_array_free().
 */
void ml_dead_ranges_find(const struct ml_process *process, const struct ml_maps *maps,
			 uint64_t thread_pointer, ml_dead_ranges *ranges);

/** The first of @p ranges that ends behind @p address, or their count. */
size_t ml_dead_ranges_after(const ml_dead_ranges *ranges, uint64_t address);

#endif

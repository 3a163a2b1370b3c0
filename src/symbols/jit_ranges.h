/* SPDX-License-Identifier: BSD-2-Clause */
/** Pieces of JIT code by address. Runtimes put new code in the place of old: the later one wins. */
#ifndef ML_SYMBOLS_JIT_RANGES_H
#define ML_SYMBOLS_JIT_RANGES_H

#include "base/array.h"

#include <stdint.h>

/** One function as a runtime announced it. */
struct ml_jit_entry {
	uint64_t start;
	uint64_t end;
	const char *name; /**< borrowed */
	uint32_t order;   /**< higher: announced later */
};

struct ml_jit_entries {
	struct ml_jit_entry *items;
	size_t count, capacity;
};

/** A piece of code that one entry has for itself. */
struct ml_jit_range {
	uint64_t start;
	uint64_t end;
	uint64_t code_start; /**< where the whole entry begins */
	const char *name;    /**< the entry's */
};

/** Sorted, without overlaps. All-zero is empty. */
struct ml_jit_ranges {
	struct ml_jit_range *items;
	size_t count, capacity;
};

/** Replaces what @p out holds by the pieces of @p entries, which are sorted on the way. */
void ml_jit_ranges_build(struct ml_jit_ranges *out, struct ml_jit_entries *entries);

/** The code at @p ip, or NULL. */
const struct ml_jit_range *ml_jit_ranges_find(const struct ml_jit_ranges *ranges, uint64_t ip);

#endif

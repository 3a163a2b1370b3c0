/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Which blocks of a process can still be reached from its variables, stacks and registers.
 *
 * Conservative, as in Boehm and Weiser, "Garbage Collection in an Uncooperative Environment"
 * (1988): every aligned word is taken for a pointer, and one into the middle of a block counts.
 * What is left is lost, unless the program hides its pointers (compressed, combined by XOR).
 */
#ifndef ML_HEAP_REACH_H
#define ML_HEAP_REACH_H

#include "base/array.h"
#include "base/error.h"
#include "target/process.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ml_reach_block {
	uint64_t address;
	uint64_t size;
	uint64_t tag; /**< the caller's */
	bool is_reached;
};

typedef ML_ARRAY(struct ml_reach_block) ml_reach_blocks;

/** Where the search begins beside memory. */
struct ml_reach_roots {
	uint64_t registers[64]; /**< and what was saved of them on the dead part of the stack */
	size_t register_count;
	uint64_t stack_pointer; /**< of the main thread: its stack below it is dead */
	/** Of the main thread: a static program has its thread-local variables in the heap. */
	uint64_t thread_pointer;
};

/**
 * Sorts @p blocks, which must be all there are, by address, and sets `is_reached` of those that
 * can be reached. @p process must be stopped. Memory that cannot be read, and mappings of more
 * than 256 GiB, are passed over.
 */
struct ml_error *ml_reach_mark(const struct ml_process *process, const struct ml_reach_roots *roots,
			       ml_reach_blocks *blocks);

#endif

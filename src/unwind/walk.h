/* SPDX-License-Identifier: BSD-2-Clause */
/** A stack walk by rows on this side of the kernel: the same steps, over any memory. */
#ifndef ML_UNWIND_WALK_H
#define ML_UNWIND_WALK_H

#include "shared/walk_end.h"
#include "unwind/rows.h"

/** A module where it is mapped: [start, end) at run time, moved by @p bias from its ELF addresses.
 */
struct ml_walk_module {
	uint64_t start;
	uint64_t end;
	uint64_t bias;
	const struct ml_unwind_rows *rows; /**< borrowed; NULL when it has none */
};

/** The stack to be read. @p read gives 0 and the word at @p address, or non-zero for a fault. */
struct ml_walk_memory {
	int (*read)(void *context, uint64_t address, uint64_t *word);
	void *context;
};

/** Where a walk begins: the registers of the innermost frame. */
struct ml_walk_start {
	uint64_t ip;
	uint64_t sp;
	uint64_t bp;
	uint64_t bx;
	bool is_call; /**< ip is a return address */
};

/**
 * Walks from @p start on and stores ip, then the return addresses, into @p frames, at most
 * @p limit. Gives how many; *@p end says why the walk stopped.
 */
size_t ml_walk(const struct ml_walk_module *modules, size_t module_count,
	       const struct ml_walk_memory *memory, const struct ml_walk_start *start,
	       uint64_t *frames, size_t limit, enum ml_walk_end *end);

#endif

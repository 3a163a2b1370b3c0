/* SPDX-License-Identifier: BSD-2-Clause */
/** Where in a function a uprobe is cheap. */
#ifndef ML_ALLOCATORS_PROBE_SITE_H
#define ML_ALLOCATORS_PROBE_SITE_H

#include "allocators/code.h"
#include "shared/trace_abi.h"

/** A place to probe: an offset into the function. */
struct ml_probe_site {
	size_t offset;
	enum ml_role role; /**< by the registers as they are there */
	bool is_emulated;  /**< the kernel emulates the instruction there: no single step */
};

/**
 * Picks where to probe a function of @p role whose bytes are @p code.
 *
 * That is the first instruction the kernel emulates that every call passes exactly once with the
 * arguments of @p role and the stack pointer as they were at the first byte; failing that, the
 * first instruction the kernel agrees to probe under the same conditions: the entry, nearly always.
 * False when there is none.
 *
 * One exception to "arguments as at the first byte": a function f(size) that moves the size to the
 * second argument, to call one of the kind f(heap, size), has the role ML_ROLE_ALIGNED_ALLOC from
 * there on: the same books with the size where it is now (mimalloc's malloc, whose first 30 bytes
 * have no emulated instruction before that).
 */
bool ml_probe_site_pick(const struct ml_code *code, enum ml_role role, struct ml_probe_site *out);

#endif

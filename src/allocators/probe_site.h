/* SPDX-License-Identifier: BSD-2-Clause */
/** Where in a function a uprobe is cheap. */
#ifndef ML_ALLOCATORS_PROBE_SITE_H
#define ML_ALLOCATORS_PROBE_SITE_H

#include "allocators/code.h"
#include "shared/trace_abi.h"

/** A place to probe: an offset into the function. */
struct ml_probe_site {
	size_t offset;
	bool is_emulated; /**< the kernel emulates the instruction there: no single step */
};

/**
 * Picks where to probe a function of @p role whose bytes are @p code.
 *
 * That is the first instruction the kernel emulates that every call passes exactly once with the
 * arguments of @p role and the stack pointer as they were at the first byte; failing that, the
 * first instruction the kernel agrees to probe under the same conditions: the entry, nearly always.
 * False when there is none.
 */
bool ml_probe_site_pick(const struct ml_code *code, enum ml_role role, struct ml_probe_site *out);

#endif

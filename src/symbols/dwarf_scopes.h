/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * The functions of one compile unit, and what is inlined into them, as a list in the order of the
 * DIEs: reading the DIEs again for every address would be too slow, and libdw's dwarf_getscopes()
 * recurses as deep as the file says.
 */
#ifndef ML_SYMBOLS_DWARF_SCOPES_H
#define ML_SYMBOLS_DWARF_SCOPES_H

#include "base/array.h"

#include <elfutils/libdw.h>
#include <stdbool.h>
#include <stdint.h>

struct ml_dwarf_range {
	uint64_t low;
	uint64_t high; /**< exclusive */
};

/** A subprogram or an inlined one. */
struct ml_dwarf_scope {
	Dwarf_Off die;
	uint32_t next; /**< index of the first scope that is not inside this one */
	bool is_inlined;
};

/** Code of a scope. */
struct ml_dwarf_scope_range {
	uint64_t low;
	uint64_t high;  /**< exclusive */
	uint32_t scope; /**< index */
	uint32_t outer; /**< index of the range around it, UINT32_MAX for none */
};

/** From @p low on, up to the next segment, range @p range is the innermost one. */
struct ml_dwarf_segment {
	uint64_t low;
	uint32_t range; /**< UINT32_MAX: there is none */
};

/** All-zero is empty. */
struct ml_dwarf_scopes {
	ML_ARRAY(struct ml_dwarf_scope) list;
	ML_ARRAY(struct ml_dwarf_scope_range) ranges;
	ML_ARRAY(struct ml_dwarf_segment) segments; /**< sorted by low */
};

/** A scope around an address. */
struct ml_dwarf_scope_at {
	Dwarf_Off die;
	uint64_t start; /**< of its range that holds the address */
	bool is_inlined;
};

/** Longest chain that ml_dwarf_scopes_find() gives. */
#define ML_DWARF_DEPTH_MAX 64

struct ml_split_ranges;

/**
 * Reads the scopes of @p unit; @p split says where the code of a split unit is (else NULL). Bounded
 * in time and memory: what is beyond is left out.
 */
void ml_dwarf_scopes_read(Dwarf *dwarf, Dwarf_Die *unit, const struct ml_split_ranges *split,
			  struct ml_dwarf_scopes *out);

/** The scopes that hold @p address, innermost first, into @p chain; their number. */
unsigned int ml_dwarf_scopes_find(const struct ml_dwarf_scopes *scopes, uint64_t address,
				  struct ml_dwarf_scope_at chain[ML_DWARF_DEPTH_MAX]);

void ml_dwarf_scopes_deinit(struct ml_dwarf_scopes *scopes);

/** Nanoseconds this thread has computed: what the bounds in time are measured in. */
uint64_t ml_dwarf_work_ns(void);

#endif

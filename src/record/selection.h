/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Chooses what of a recorded snapshot is shown: since when, how old, what size.
 *
 * With single blocks in it (recorded with --show-allocs) the choice is exact. Without them, "since"
 * is the growth of each site, and ages and sizes are those of whole sites.
 */
#ifndef ML_RECORD_SELECTION_H
#define ML_RECORD_SELECTION_H

#include "model/snapshot.h"

#include <stdbool.h>
#include <stdint.h>

struct ml_selection {
	/** Only what came after this moment; NULL = all. */
	const struct ml_snapshot *since;
	uint64_t older_ns; /**< only blocks at least this old */
	uint64_t min_size; /**< bytes */
	uint64_t max_size; /**< bytes; 0 = none */
	/** The blocks of the snapshot are all there are, and their sizes are what was booked. */
	bool has_blocks;
};

/** True when @p selection leaves anything out. */
bool ml_selection_is_choosy(const struct ml_selection *selection);

/** Changes what @p snapshot shows; `live` figures stay. */
void ml_selection_apply(const struct ml_selection *selection, struct ml_snapshot *snapshot);

/** A copy of @p from without its blocks. */
void ml_selection_copy_sites(const struct ml_snapshot *from, struct ml_snapshot *out);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/** Sites that grow though none of their blocks is old. */
#ifndef ML_MODEL_GROWING_H
#define ML_MODEL_GROWING_H

#include "model/snapshot.h"
#include "model/timeline.h"

/**
 * Shows the sites of @p snapshot whose blocks are all too young for @p filter, but which @p
 * timeline (it holds the snapshot already) says are growing: a list that is made longer by
 * realloc() every few milliseconds never gets old. All their live blocks are then shown, but none
 * is in `blocks`.
 */
void ml_snapshot_show_growing(struct ml_snapshot *snapshot, const struct ml_timeline *timeline,
			      const struct ml_snapshot_filter *filter);

#endif

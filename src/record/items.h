/* SPDX-License-Identifier: BSD-2-Clause */
/** Puts items into batches. */
#ifndef ML_RECORD_ITEMS_H
#define ML_RECORD_ITEMS_H

#include "base/strbuf.h"
#include "record/format.h"

struct ml_items {
	struct ml_strbuf item;    /**< the one being written, without kind and length */
	struct ml_strbuf content; /**< of the batch being filled */
	struct ml_strbuf *out;    /**< where batches go; borrowed */
};

/** Ends the item: of kind @p kind, with what stands in `item`, which is emptied. */
void ml_items_add(struct ml_items *items, enum ml_item kind);

/** Ends the batch. */
void ml_items_flush(struct ml_items *items);

void ml_items_deinit(struct ml_items *items);

#endif

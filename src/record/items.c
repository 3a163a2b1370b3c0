/* SPDX-License-Identifier: BSD-2-Clause */
#include "record/items.h"

#include "base/leb.h"
#include "record/batch.h"

void ml_items_add(struct ml_items *items, enum ml_item kind)
{
	ml_leb_unsigned(&items->content, kind);
	ml_leb_unsigned(&items->content, items->item.length);
	ml_strbuf_add(&items->content, ml_strbuf_text(&items->item), items->item.length);
	ml_strbuf_clear(&items->item);
	if (items->content.length >= ML_BATCH_FULL)
		ml_items_flush(items);
}

void ml_items_flush(struct ml_items *items)
{
	if (items->content.length)
		ml_batch_write(&items->content, items->out);
}

void ml_items_deinit(struct ml_items *items)
{
	ml_strbuf_free(&items->item);
	ml_strbuf_free(&items->content);
}

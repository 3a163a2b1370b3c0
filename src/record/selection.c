/* SPDX-License-Identifier: BSD-2-Clause */
#include "record/selection.h"

#include "base/u64map.h"

bool ml_selection_is_choosy(const struct ml_selection *selection)
{
	return selection->since || selection->older_ns || selection->min_size ||
	       selection->max_size;
}

void ml_selection_copy_sites(const struct ml_snapshot *from, struct ml_snapshot *out)
{
	ml_snapshot_deinit(out);
	*out = *from;
	out->sites = (__typeof__(out->sites)){0};
	out->blocks = (__typeof__(out->blocks)){0};
	out->cohorts = (__typeof__(out->cohorts)){0};
	ml_array_reserve(&out->sites, from->sites.count);
	ml_array_each (site, &from->sites)
		*ml_array_push(&out->sites) = *site;
}

static bool is_old_enough(const struct ml_selection *selection, const struct ml_snapshot *snapshot,
			  uint64_t born_ns)
{
	uint64_t now_ns = snapshot->time_ns;

	return (born_ns < now_ns ? now_ns - born_ns : 0) >= selection->older_ns;
}

static bool is_right_size(const struct ml_selection *selection, uint64_t size)
{
	return size >= selection->min_size && (!selection->max_size || size <= selection->max_size);
}

/* Counts the blocks that are chosen, and drops the others. */
static void choose_blocks(const struct ml_selection *selection, struct ml_snapshot *snapshot)
{
	struct ml_u64map index = {0}; /* stack id → index in sites */
	uint64_t since_ns = selection->since ? selection->since->time_ns : 0;
	size_t kept = 0;

	for (size_t i = 0; i < snapshot->sites.count; i++) {
		struct ml_site_books *site = &snapshot->sites.items[i];

		site->shown_bytes = site->shown_count = 0;
		*ml_u64map_put(&index, site->stack, NULL) = i;
	}
	ml_array_each (block, &snapshot->blocks) {
		const uint64_t *at = ml_u64map_get(&index, block->stack);

		if (!at || block->born_ns < since_ns ||
		    !is_old_enough(selection, snapshot, block->born_ns) ||
		    !is_right_size(selection, block->size))
			continue;
		snapshot->sites.items[*at].shown_bytes += block->size;
		snapshot->sites.items[*at].shown_count++;
		snapshot->blocks.items[kept++] = *block;
	}
	snapshot->blocks.count = kept;
	ml_u64map_free(&index);
}

/* Takes what was there @since off every site. */
static void subtract(const struct ml_snapshot *since, struct ml_snapshot *snapshot)
{
	struct ml_u64map index = {0}; /* stack id → index in since->sites */

	for (size_t i = 0; i < since->sites.count; i++)
		*ml_u64map_put(&index, since->sites.items[i].stack, NULL) = i;
	ml_array_each (site, &snapshot->sites) {
		const uint64_t *at = ml_u64map_get(&index, site->stack);
		const struct ml_site_books *before = at ? &since->sites.items[*at] : NULL;

		if (!before)
			continue;
		site->shown_bytes -= before->shown_bytes < site->shown_bytes ? before->shown_bytes
									     : site->shown_bytes;
		site->shown_count -= before->shown_count < site->shown_count ? before->shown_count
									     : site->shown_count;
	}
	ml_u64map_free(&index);
}

/* Whole sites: by their oldest block, and by the mean size of those shown. */
static void choose_sites(const struct ml_selection *selection, struct ml_snapshot *snapshot)
{
	if (selection->since)
		subtract(selection->since, snapshot);
	ml_array_each (site, &snapshot->sites) {
		uint64_t mean = site->shown_count ? site->shown_bytes / site->shown_count : 0;

		if ((site->oldest_born_ns &&
		     !is_old_enough(selection, snapshot, site->oldest_born_ns)) ||
		    !is_right_size(selection, mean))
			site->shown_bytes = site->shown_count = 0;
	}
}

void ml_selection_apply(const struct ml_selection *selection, struct ml_snapshot *snapshot)
{
	if (!ml_selection_is_choosy(selection))
		return;
	if (selection->has_blocks)
		choose_blocks(selection, snapshot);
	else
		choose_sites(selection, snapshot);
}

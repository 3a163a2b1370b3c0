/* SPDX-License-Identifier: BSD-2-Clause */
#include "model/snapshot.h"

static int compare_sites(const void *left, const void *right)
{
	uint64_t a = ((const struct ml_site_books *)left)->stack;
	uint64_t b = ((const struct ml_site_books *)right)->stack;

	return ml_compare_u64(a, b);
}

void ml_snapshot_sort(struct ml_snapshot *snapshot)
{
	if (snapshot->sites.count)
		qsort(snapshot->sites.items, snapshot->sites.count, sizeof(*snapshot->sites.items),
		      compare_sites);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "model/growing.h"

#include "model/verdict.h"

/* Whether its age is all that keeps @site from being shown. */
static bool is_only_young(const struct ml_snapshot *snapshot, const struct ml_site_books *site,
			  const struct ml_snapshot_filter *filter)
{
	return !site->shown_count && site->live_count &&
	       site->oldest_born_ns + filter->min_age_ns > snapshot->time_ns &&
	       site->oldest_born_ns >= filter->born_after_ns;
}

void ml_snapshot_show_growing(struct ml_snapshot *snapshot, const struct ml_timeline *timeline,
			      const struct ml_snapshot_filter *filter)
{
	if (!filter->want_ages || !filter->min_age_ns)
		return;
	ml_array_each (site, &snapshot->sites) {
		struct ml_verdict verdict;

		if (!is_only_young(snapshot, site, filter))
			continue;
		ml_verdict_judge(timeline, site->stack, &verdict);
		if (verdict.class != ML_VERDICT_GROWING)
			continue;
		site->shown_bytes = site->live_bytes;
		site->shown_count = site->live_count;
	}
}

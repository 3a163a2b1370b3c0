/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/history.h"

#include <string.h>

/** The last of @p points at or before @p time_ns; NULL when they begin later. Moves @p next on. */
static const struct ml_timeline_point *point_at(const struct ml_timeline_point *points,
						size_t count, uint64_t time_ns, size_t *next)
{
	while (*next < count && points[*next].time_ns <= time_ns)
		(*next)++;
	return *next ? &points[*next - 1] : NULL;
}

static void add_point(struct ml_timeline_point *sum, const struct ml_timeline_point *point)
{
	if (!point)
		return;
	sum->live_bytes += point->live_bytes;
	sum->live_count += point->live_count;
	sum->allocs += point->allocs;
	sum->frees += point->frees;
}

/**
 * Two sites' points thin out on their own and need not be of the same moments: the sum is of the
 * moments of the timeline's totals, which are as many and as dense.
 */
static void merge(const struct ml_timeline *timeline, const struct ml_timeline_point *points,
		  size_t count, struct ml_report_site *site)
{
	const struct ml_timeline_point *totals;
	size_t moments = ml_timeline_totals(timeline, &totals), next = 0, next_old = 0;
	struct ml_report_site merged = {0};

	ml_array_reserve(&merged.points, moments);
	for (size_t i = 0; i < moments; i++) {
		struct ml_timeline_point sum = {.time_ns = totals[i].time_ns};
		const struct ml_timeline_point *a =
			point_at(site->points.items, site->points.count, sum.time_ns, &next_old);
		const struct ml_timeline_point *b = point_at(points, count, sum.time_ns, &next);

		add_point(&sum, a);
		add_point(&sum, b);
		if (a || b)
			*ml_array_push(&merged.points) = sum;
	}
	ml_array_free(&site->points);
	site->points.items = merged.points.items;
	site->points.count = merged.points.count;
	site->points.capacity = merged.points.capacity;
}

/** An array that holds a copy of @p count points at @p from; it was empty. */
#define COPY_POINTS(array, from, number)                                                           \
	do {                                                                                       \
		size_t copied = (number);                                                          \
                                                                                                   \
		if (copied) {                                                                      \
			ml_array_reserve((array), copied);                                         \
			memcpy((array)->items, (from), copied * sizeof(*(from)));                  \
			(array)->count = copied;                                                   \
		}                                                                                  \
	} while (0)

void ml_history_add(const struct ml_timeline *timeline, uint64_t stack, struct ml_report_site *site)
{
	const struct ml_timeline_point *points;
	size_t count = ml_timeline_points(timeline, stack, &points);

	if (site->points.count && count)
		merge(timeline, points, count, site);
	else
		COPY_POINTS(&site->points, points, count);
}

void ml_history_sum(const struct ml_timeline *timeline, struct ml_report *report)
{
	const struct ml_timeline_point *points;
	size_t count = ml_timeline_totals(timeline, &points);

	report->start_ns = ml_timeline_start(timeline);
	COPY_POINTS(&report->points, points, count);
	count = ml_timeline_resident(timeline, &points);
	COPY_POINTS(&report->resident, points, count);
}

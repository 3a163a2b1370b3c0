/* SPDX-License-Identifier: BSD-2-Clause */
#include "model/timeline.h"

#include "base/clock.h"
#include "base/u64map.h"

#include <math.h>
#include <string.h>

/** One site's points, or those of the sum. */
struct history {
	uint64_t stack;
	uint64_t oldest_born_ns;
	ML_ARRAY(struct ml_timeline_point) points;
	struct ml_cohort_history cohorts;
	struct ml_residue residue; /**< set from a recording, else ML_RESIDUE_NONE */
};

struct ml_timeline {
	uint64_t start_ns;
	uint64_t newest_ns;     /**< time of the newest snapshot, 0 before the first */
	struct ml_u64map index; /**< stack id → index in sites */
	ML_ARRAY(struct history) sites;
	struct history totals;
	struct history resident;
	struct ml_cohort_starts starts;
	bool has_cohorts; /**< the newest snapshot had */
};

struct ml_timeline *ml_timeline_create(uint64_t start_ns)
{
	struct ml_timeline *timeline = ml_alloc(sizeof(*timeline));

	timeline->start_ns = start_ns;
	timeline->starts = (struct ml_cohort_starts){.count = 1, .start_ns = {start_ns}};
	return timeline;
}

void ml_timeline_destroy(struct ml_timeline *timeline)
{
	if (!timeline)
		return;
	ml_array_each (site, &timeline->sites)
		ml_array_free(&site->points);
	ml_array_free(&timeline->sites);
	ml_array_free(&timeline->totals.points);
	ml_array_free(&timeline->resident.points);
	ml_u64map_free(&timeline->index);
	free(timeline);
}

/** Takes out the point of the older half that is missed least; never the first. */
static void thin(struct history *history)
{
	struct ml_timeline_point *points = history->points.items;
	size_t least = 1;

	for (size_t i = 2; i < ML_TIMELINE_POINTS / 2; i++)
		if (points[i + 1].time_ns - points[i - 1].time_ns <
		    points[least + 1].time_ns - points[least - 1].time_ns)
			least = i;
	memmove(&points[least], &points[least + 1],
		(history->points.count - least - 1) * sizeof(*points));
	history->points.count--;
}

static void append(struct history *history, const struct ml_timeline_point *point)
{
	size_t count = history->points.count;

	if (count && history->points.items[count - 1].time_ns >= point->time_ns) {
		history->points.items[count - 1] = *point;
		return;
	}
	if (count == ML_TIMELINE_POINTS) {
		thin(history);
	} else if (count == history->points.capacity) {
		size_t room = count ? 2 * count : 4;

		ml_array_reserve(&history->points,
				 room < ML_TIMELINE_POINTS ? room : ML_TIMELINE_POINTS);
	}
	*ml_array_push(&history->points) = *point;
}

/** Drops the sites that have nothing alive or were not in the newest snapshot. */
static void drop_dead(struct ml_timeline *timeline)
{
	size_t kept = 0;

	ml_u64map_free(&timeline->index);
	ml_array_each (site, &timeline->sites) {
		const struct ml_timeline_point *newest =
			&site->points.items[site->points.count - 1];

		if (!newest->live_count || newest->time_ns < timeline->newest_ns) {
			ml_array_free(&site->points);
			continue;
		}
		timeline->sites.items[kept] = *site;
		*ml_u64map_put(&timeline->index, site->stack, NULL) = kept++;
	}
	timeline->sites.count = kept;
}

/** The site called @p stack, made when there is room; NULL when there is none. */
static struct history *site_of(struct ml_timeline *timeline, uint64_t stack)
{
	const uint64_t *known = ml_u64map_get(&timeline->index, stack);

	if (known)
		return &timeline->sites.items[*known];
	if (timeline->sites.count == ML_TIMELINE_SITES)
		return NULL;
	*ml_u64map_put(&timeline->index, stack, NULL) = timeline->sites.count;

	struct history *site = ml_array_push(&timeline->sites);

	*site = (struct history){.stack = stack};
	return site;
}

/** Whether every site of @p snapshot finds room as things stand. */
static bool has_room(const struct ml_timeline *timeline, const struct ml_snapshot *snapshot)
{
	size_t new_sites = 0;

	if (timeline->sites.count + snapshot->sites.count <= ML_TIMELINE_SITES)
		return true;
	ml_array_each (books, &snapshot->sites)
		new_sites += !ml_u64map_get(&timeline->index, books->stack);
	return timeline->sites.count + new_sites <= ML_TIMELINE_SITES;
}

static size_t age_bin(double age_s)
{
	int bin = age_s > ML_AGE_BASE_S ? (int)ceil(log2(age_s / ML_AGE_BASE_S)) : 0;

	return bin < ML_AGE_BINS ? (size_t)bin : ML_AGE_BINS - 1;
}

/** Compares what is alive of each cohort with what was at the snapshot before. */
static void add_deaths(const struct ml_timeline *timeline, struct ml_cohort_history *history,
		       const struct ml_site_cohorts *alive, uint64_t now_ns)
{
	const struct ml_cohort_starts *starts = &timeline->starts;
	double passed_s = ml_seconds_between(timeline->newest_ns, now_ns);

	for (size_t i = 0; i + 1 < starts->count; i++) {
		uint64_t before = history->alive.count[i], now = alive->count[i];
		uint64_t middle_ns = starts->start_ns[i] / 2 + starts->start_ns[i + 1] / 2;
		size_t bin;

		if (!before)
			continue;
		bin = age_bin(ml_seconds_between(middle_ns, now_ns));
		history->deaths[bin] += before > now ? (double)(before - now) : 0;
		history->block_seconds[bin] += (double)before * passed_s;
	}
	history->alive = *alive;
}

/** The border that is missed least: its cohorts are the shortest for their age. Never the first. */
static size_t least_border(const struct ml_cohort_starts *starts, uint64_t now_ns)
{
	double least = INFINITY;
	size_t found = 1;

	for (size_t i = 1; i < starts->count; i++) {
		uint64_t end = i + 1 < starts->count ? starts->start_ns[i + 1] : now_ns;
		double width = ml_seconds_between(starts->start_ns[i - 1], end) /
			       ml_seconds_between(starts->start_ns[i - 1], now_ns);

		if (width < least) {
			least = width;
			found = i;
		}
	}
	return found;
}

/** Takes element @p at out of @p values. */
static void take_out(uint64_t values[ML_COHORTS], size_t at)
{
	memmove(&values[at], &values[at + 1], (ML_COHORTS - at - 1) * sizeof(values[0]));
	values[ML_COHORTS - 1] = 0;
}

/** Makes one cohort of those before and after border @p border. */
static void merge_cohorts(struct ml_cohort_history *history, size_t border)
{
	history->alive.count[border - 1] += history->alive.count[border];
	history->alive.bytes[border - 1] += history->alive.bytes[border];
	take_out(history->alive.count, border);
	take_out(history->alive.bytes, border);
	take_out(history->allocs, border);
}

/** What is born from now on is a cohort of its own. */
static void begin_cohort(struct ml_timeline *timeline, uint64_t now_ns)
{
	struct ml_cohort_starts *starts = &timeline->starts;

	if (starts->start_ns[starts->count - 1] >= now_ns)
		return;
	if (starts->count == ML_COHORTS) {
		size_t border = least_border(starts, now_ns);

		take_out(starts->start_ns, border);
		starts->count--;
		ml_array_each (site, &timeline->sites)
			merge_cohorts(&site->cohorts, border);
	}
	ml_array_each (site, &timeline->sites) {
		const struct ml_timeline_point *newest =
			&site->points.items[site->points.count - 1];

		site->cohorts.allocs[starts->count] = newest->allocs;
		if (newest->time_ns < now_ns)
			site->cohorts.alive = (struct ml_site_cohorts){0};
	}
	starts->start_ns[starts->count++] = now_ns;
}

static void add_site(struct ml_timeline *timeline, const struct ml_snapshot *snapshot,
		     const struct ml_site_books *books, const struct ml_timeline_point *point)
{
	static const struct ml_site_cohorts none;

	struct history *site = site_of(timeline, books->stack);

	if (!site)
		return;
	if (!site->points.count && timeline->newest_ns)
		append(site, &(struct ml_timeline_point){.time_ns = timeline->newest_ns});
	append(site, point);
	site->oldest_born_ns = books->oldest_born_ns;
	site->residue.shape = ML_RESIDUE_NONE;
	if (timeline->has_cohorts)
		add_deaths(timeline, &site->cohorts,
			   books->cohorts ? &snapshot->cohorts.items[books->cohorts - 1] : &none,
			   point->time_ns);
}

void ml_timeline_add(struct ml_timeline *timeline, const struct ml_snapshot *snapshot)
{
	struct ml_timeline_point sum = {.time_ns = snapshot->time_ns};
	bool is_full = !has_room(timeline, snapshot);

	if (is_full)
		drop_dead(timeline);
	timeline->has_cohorts = snapshot->has_cohorts;
	ml_array_each (books, &snapshot->sites) {
		struct ml_timeline_point point = {
			.time_ns = snapshot->time_ns,
			.live_bytes = books->live_bytes,
			.live_count = books->live_count,
			.allocs = books->allocs,
			.frees = books->frees,
		};

		/* Those just dropped would come back otherwise. */
		if (!is_full || point.live_count)
			add_site(timeline, snapshot, books, &point);
		sum.live_bytes += point.live_bytes;
		sum.live_count += point.live_count;
		sum.allocs += point.allocs;
		sum.frees += point.frees;
	}
	append(&timeline->totals, &sum);
	if (snapshot->resident_bytes)
		append(&timeline->resident,
		       &(struct ml_timeline_point){.time_ns = snapshot->time_ns,
						   .live_bytes = snapshot->resident_bytes});
	if (timeline->has_cohorts)
		begin_cohort(timeline, snapshot->time_ns);
	timeline->newest_ns = snapshot->time_ns;
}

static size_t points_of(const struct history *history, const struct ml_timeline_point **points)
{
	*points = history->points.items;
	return history->points.count;
}

size_t ml_timeline_points(const struct ml_timeline *timeline, uint64_t stack,
			  const struct ml_timeline_point **points)
{
	const uint64_t *known = ml_u64map_get(&timeline->index, stack);

	if (!known)
		return 0;
	return points_of(&timeline->sites.items[*known], points);
}

size_t ml_timeline_totals(const struct ml_timeline *timeline,
			  const struct ml_timeline_point **points)
{
	return points_of(&timeline->totals, points);
}

size_t ml_timeline_resident(const struct ml_timeline *timeline,
			    const struct ml_timeline_point **points)
{
	return points_of(&timeline->resident, points);
}

uint64_t ml_timeline_oldest(const struct ml_timeline *timeline, uint64_t stack)
{
	const uint64_t *known = ml_u64map_get(&timeline->index, stack);

	return known ? timeline->sites.items[*known].oldest_born_ns : 0;
}

uint64_t ml_timeline_start(const struct ml_timeline *timeline)
{
	return timeline->start_ns;
}

const struct ml_cohort_starts *ml_timeline_cohorts(const struct ml_timeline *timeline)
{
	return &timeline->starts;
}

const struct ml_cohort_history *ml_timeline_survivors(const struct ml_timeline *timeline,
						      uint64_t stack)
{
	const uint64_t *known = ml_u64map_get(&timeline->index, stack);

	if (!known || !timeline->has_cohorts)
		return NULL;
	return &timeline->sites.items[*known].cohorts;
}

void ml_timeline_set_residue(struct ml_timeline *timeline, uint64_t stack,
			     const struct ml_residue *residue)
{
	const uint64_t *known = ml_u64map_get(&timeline->index, stack);

	if (known)
		timeline->sites.items[*known].residue = *residue;
}

const struct ml_residue *ml_timeline_residue(const struct ml_timeline *timeline, uint64_t stack)
{
	const uint64_t *known = ml_u64map_get(&timeline->index, stack);
	const struct history *site = known ? &timeline->sites.items[*known] : NULL;

	return site && site->residue.shape != ML_RESIDUE_NONE ? &site->residue : NULL;
}

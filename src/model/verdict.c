/* SPDX-License-Identifier: BSD-2-Clause */
#include "model/verdict.h"

#include "base/clock.h"
#include "model/trend.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

/* Nothing is said on less than this. */
#define MIN_POINTS 4
#define MIN_SPAN_S 2.5
/* Mann–Kendall, one-sided: 5 % for the whole history, 1 % for each part of it tried after. */
#define Z_WHOLE 1.64
#define Z_PART  2.33
/* ml_trend.straightness below which growth has stopped, or slows down. */
#define FLAT    0.25
#define SLOWING 0.6
/* Where much is freed, a level may swing for this long before its growth is called a leak. */
#define CHURN_SPAN_S 28.0
/* Blocks that live longer than this on average are kept on purpose rather than in passing. */
#define LONG_LIVED_S 5.0

/** The site under judgement. */
struct history {
	const struct ml_timeline_point *points;
	size_t count;
	uint64_t start_ns;       /**< when tracing began */
	uint64_t oldest_born_ns; /**< 0 when unknown */
	bool has_grown;          /**< the whole history rose and then went flat */
};

const char *ml_verdict_name(enum ml_verdict_class class)
{
	static const char *const names[] = {
		[ML_VERDICT_UNKNOWN] = "unknown", [ML_VERDICT_LEAK] = "leak",
		[ML_VERDICT_GROWING] = "growing", [ML_VERDICT_CACHE] = "cache",
		[ML_VERDICT_STEADY] = "steady",   [ML_VERDICT_STARTUP] = "startup",
	};

	return names[class];
}

static double seconds_between(uint64_t from_ns, uint64_t to_ns)
{
	return to_ns > from_ns ? (double)(to_ns - from_ns) / (double)ML_NS_PER_SECOND : 0;
}

__attribute__((format(printf, 4, 5))) static void
decide(struct ml_verdict *out, enum ml_verdict_class class, double confidence, const char *why, ...)
{
	va_list args;

	out->class = class;
	out->confidence = fmin(fmax(confidence, 0), 0.99);
	va_start(args, why);
	vsnprintf(out->why, sizeof(out->why), why, args);
	va_end(args);
}

/** "8.0 KiB" of @p bytes into @p text; gives @p text. */
static const char *size_text(double bytes, char text[24])
{
	static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
	size_t unit = 0;

	for (; bytes >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0]); unit++)
		bytes /= 1024;
	snprintf(text, 24, unit ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
	return text;
}

/** "12 s" or "3 min" or "5.0 h"; gives @p text. */
static const char *time_text(double seconds, char text[24])
{
	if (seconds < 10)
		snprintf(text, 24, "%.1f s", seconds);
	else if (seconds < 180)
		snprintf(text, 24, "%.0f s", seconds);
	else if (seconds < 3 * 3600)
		snprintf(text, 24, "%.0f min", seconds / 60);
	else
		snprintf(text, 24, "%.1f h", seconds / 3600);
	return text;
}

/** How far @p count points over @p span_s seconds can be trusted, 0.35 … 0.99. */
static double evidence(size_t count, double span_s)
{
	double by_points = 1 - exp(-((double)count - 3) / 6);
	double by_time = 1 - exp(-span_s / 20);

	return 0.35 + 0.64 * sqrt(fmax(by_points, 0) * by_time);
}

/** True, with the verdict, when there are too few points or too short a time to say anything. */
static bool judge_evidence(const struct history *site, struct ml_verdict *out)
{
	const struct ml_timeline_point *first = &site->points[0];
	const struct ml_timeline_point *last = &site->points[site->count - 1];
	double span = seconds_between(first->time_ns, last->time_ns);

	if (site->count >= MIN_POINTS && span >= MIN_SPAN_S)
		return false;

	double interval = site->count > 1 ? span / (double)(site->count - 1)
					  : seconds_between(site->start_ns, last->time_ns);
	double missing =
		site->count < MIN_POINTS ? (double)(MIN_POINTS - site->count) * interval : 0;

	missing = ceil(fmax(fmax(missing, MIN_SPAN_S - span), 1));
	decide(out, ML_VERDICT_UNKNOWN, 0, "only %zu report%s so far: watch %.0f s longer",
	       site->count, site->count == 1 ? "" : "s", missing);
	return true;
}

/** Index of the last point that has new allocations; 0 when none after the first has. */
static size_t last_active(const struct history *site, size_t *steps)
{
	size_t last = 0;

	*steps = site->points[0].allocs > 0;
	for (size_t i = 1; i < site->count; i++)
		if (site->points[i].allocs > site->points[i - 1].allocs) {
			last = i;
			(*steps)++;
		}
	return last;
}

/** True, with the verdict, when the site has stopped allocating. */
static bool judge_quiet(const struct history *site, struct ml_verdict *out)
{
	const struct ml_timeline_point *last = &site->points[site->count - 1];
	char text[3][24];
	size_t steps, active = last_active(site, &steps);
	uint64_t begin_ns = site->points[0].allocs ? site->start_ns : site->points[0].time_ns;
	double active_s = seconds_between(begin_ns, site->points[active].time_ns);
	double quiet_s = seconds_between(site->points[active].time_ns, last->time_ns);
	double gap_s = steps ? active_s / (double)steps : 0;

	if (site->count - 1 - active < 3 || quiet_s < active_s / 2 ||
	    (steps > 1 && quiet_s < 3 * gap_s))
		return false;
	out->growth_bytes_per_s = 0;

	double confidence = evidence(site->count, quiet_s);

	if (steps <= 2 || active_s < 0.1 * (active_s + quiet_s))
		decide(out, ML_VERDICT_STARTUP, confidence,
		       "%" PRIu64 " blocks allocated within %s, nothing new for %s", last->allocs,
		       time_text(active_s, text[0]), time_text(quiet_s, text[1]));
	else
		decide(out, ML_VERDICT_CACHE, 0.8 * confidence,
		       "grew to %s in %s, nothing new for %s",
		       size_text((double)last->live_bytes, text[2]), time_text(active_s, text[0]),
		       time_text(quiet_s, text[1]));
	return true;
}

/** Leaves out the points at the beginning during which nothing happened, but for the last. */
static void skip_idle_lead(struct history *site)
{
	while (site->count > 2 && site->points[0].allocs == site->points[1].allocs &&
	       site->points[0].frees == site->points[1].frees) {
		site->points++;
		site->count--;
	}
}

/** The highest level before the part that begins at point @p from. */
static double highest_before(const struct history *site, size_t from)
{
	double highest = 0;

	for (size_t i = 0; i < from; i++)
		highest = fmax(highest, (double)site->points[i].live_bytes);
	return highest;
}

/** Does the part of @p site from point @p from grow, beyond doubt and beyond noise? */
static bool is_growing(const struct history *site, size_t from, const struct ml_trend *trend)
{
	double rise = trend->slope * trend->span_s;
	double level = fmax(trend->first_quarter, 1);

	if (trend->slope <= 0 || trend->z < (from ? Z_PART : Z_WHOLE))
		return false;
	if (rise < 6 * trend->noise_bytes && (rise < 2 * trend->noise_bytes || rise < 0.2 * level))
		return false;
	if (trend->drawdown > 0.5 && !ml_trend_is_floor_rising(trend))
		return false;
	/* A part is the way up of a saw's tooth unless it goes beyond all that was before. */
	return !from || trend->last_quarter > highest_before(site, from) + 0.3 * rise;
}

/** True when the oldest block alive is from the beginning of the part from point @p from on. */
static bool is_oldest_kept(const struct history *site, size_t from)
{
	uint64_t begin_ns = site->points[from].time_ns;
	uint64_t end_ns = site->points[site->count - 1].time_ns;

	return site->oldest_born_ns && site->oldest_born_ns <= begin_ns + (end_ns - begin_ns) / 5;
}

/** Leak or merely growing: the part of @p site from point @p from on rises as @p trend says. */
static void judge_growth(const struct history *site, size_t from, const struct ml_trend *trend,
			 struct ml_verdict *out)
{
	const struct ml_timeline_point *first = &site->points[from];
	const struct ml_timeline_point *last = &site->points[site->count - 1];
	uint64_t allocs = last->allocs - first->allocs, frees = last->frees - first->frees;
	double freed = allocs ? fmin((double)frees / (double)allocs, 1) : 1;
	double sure = evidence(site->count - from, trend->span_s);
	char rate[24], time[24];

	size_text(trend->slope, rate);
	time_text(trend->span_s, time);
	if (trend->straightness < SLOWING)
		decide(out, site->has_grown ? ML_VERDICT_CACHE : ML_VERDICT_GROWING, 0.6 * sure,
		       "grows ever slower, by %s/s of late; %.0f %% of what it allocates is freed",
		       rate, 100 * freed);
	else if (!frees)
		decide(out, ML_VERDICT_LEAK, sure,
		       "every one of the %" PRIu64
		       " blocks of the last %s is still there; grows by "
		       "%s/s",
		       allocs, time, rate);
	else if (freed <= 0.1)
		decide(out, ML_VERDICT_LEAK, sure * (1 - freed),
		       "only %" PRIu64 " of the %" PRIu64
		       " blocks of the last %s were freed; grows by "
		       "%s/s",
		       frees, allocs, time, rate);
	else if (trend->span_s >= CHURN_SPAN_S && is_oldest_kept(site, from) &&
		 trend->straightness < 1.7 &&
		 trend->slope * trend->span_s >= 6 * trend->noise_bytes)
		decide(out, ML_VERDICT_LEAK, 0.8 * sure,
		       "%.0f %% of its blocks are freed, but the rest stays since the beginning "
		       "and "
		       "grows by %s/s in a straight line",
		       100 * freed, rate);
	else
		decide(out, ML_VERDICT_GROWING, 0.9 * sure,
		       "grows by %s/s over %s although %.0f %% of what it allocates is freed", rate,
		       time, 100 * freed);
}

/** It does not grow: cache or steady. */
static void judge_bounded(const struct history *site, struct ml_verdict *out)
{
	size_t middle = site->count / 2;
	const struct ml_timeline_point *first = &site->points[middle];
	const struct ml_timeline_point *last = &site->points[site->count - 1];
	uint64_t allocs = last->allocs - first->allocs, frees = last->frees - first->frees;
	double span = seconds_between(first->time_ns, last->time_ns);
	double sure =
		evidence(site->count, seconds_between(site->points[0].time_ns, last->time_ns));
	struct ml_trend late;
	char low[24], high[24], time[24];

	ml_trend_measure(first, site->count - middle, &late);

	/* Little's law: what is there is the rate of arrival times the time of stay. */
	double stay_s = allocs ? (double)last->live_count * span / (double)allocs : span;
	bool is_level = late.min >= 0.75 * late.max && late.max > 0;

	if (!frees && !allocs)
		decide(out, ML_VERDICT_UNKNOWN, 0,
		       "nothing new for %s: too early to tell, watch %.0f s longer",
		       time_text(span, time), ceil(span));
	else if (!frees && !site->has_grown)
		decide(out, ML_VERDICT_UNKNOWN, 0,
		       "%" PRIu64
		       " new blocks and none freed in %s: too few to tell, watch %.0f s longer",
		       allocs, time_text(span, time), ceil(2 * span));
	else if (!frees)
		decide(out, ML_VERDICT_CACHE, 0.8 * sure,
		       "grew to %s and has hardly grown in the last %s", size_text(late.max, high),
		       time_text(span, time));
	else if (is_level && stay_s >= LONG_LIVED_S)
		decide(out, ML_VERDICT_CACHE, 0.9 * sure,
		       "stays at %s: as much is freed as allocated, a block stays about %s",
		       size_text(late.max, high), time_text(stay_s, time));
	else
		decide(out, ML_VERDICT_STEADY, sure,
		       "%" PRIu64 " blocks allocated and %" PRIu64
		       " freed in %s, between %s and %s",
		       allocs, frees, time_text(span, time), size_text(late.min, low),
		       size_text(late.max, high));
}

/** The whole history first, then its newer half and quarter: a leak may begin late. */
static void judge_active(struct history *site, struct ml_verdict *out)
{
	for (size_t part = 1; part <= 4; part *= 2) {
		size_t from = site->count - site->count / part;
		struct ml_trend trend;

		if (part > 1 && site->count - from < 8)
			break;
		ml_trend_measure(site->points + from, site->count - from, &trend);
		if (part == 1)
			out->growth_bytes_per_s = trend.slope;
		if (!is_growing(site, from, &trend))
			continue;
		out->growth_bytes_per_s = trend.slope;
		if (trend.straightness >= FLAT) {
			judge_growth(site, from, &trend, out);
			return;
		}
		site->has_grown = true;
		out->growth_bytes_per_s = 0;
	}
	judge_bounded(site, out);
}

void ml_verdict_judge(const struct ml_timeline *timeline, uint64_t stack, struct ml_verdict *out)
{
	struct history site = {
		.start_ns = ml_timeline_start(timeline),
		.oldest_born_ns = ml_timeline_oldest(timeline, stack),
	};

	*out = (struct ml_verdict){.class = ML_VERDICT_UNKNOWN};
	site.count = ml_timeline_points(timeline, stack, &site.points);
	if (!site.count) {
		decide(out, ML_VERDICT_UNKNOWN, 0, "no history: too many sites at once");
		return;
	}
	if (judge_evidence(&site, out) || judge_quiet(&site, out))
		return;
	skip_idle_lead(&site);
	if (judge_evidence(&site, out))
		return;
	judge_active(&site, out);
}

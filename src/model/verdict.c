/* SPDX-License-Identifier: BSD-2-Clause */
#include "model/verdict.h"

#include "base/clock.h"
#include "base/human.h"
#include "model/residue.h"
#include "model/trend.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

/* Nothing is said on less than this. */
#define MIN_POINTS 4
#define MIN_SPAN_S 2.5
/* 5 % of chance are enough for the whole history, 1 % for each part of it tried after. */
#define Z_PART 2.33
/* ml_trend.straightness below which growth has stopped, or slows down. */
#define FLAT    0.25
#define SLOWING 0.6
/* ml_trend.likely_straightness asked of what had nearly stopped growing. */
#define PROBABLY_STRAIGHT 0.8
/* Where much is freed, a level may swing for this long before its growth is called a leak. */
#define CHURN_SPAN_S 28.0
/* What has stopped growing once does not grow again for fewer blocks than this. */
#define FEW_BLOCKS 16
/* Blocks that live longer than this on average are kept on purpose rather than in passing. */
#define LONG_LIVED_S 5.0

/** The site under judgement. */
struct history {
	const struct ml_timeline_point *points;
	size_t count;
	uint64_t start_ns;         /**< when tracing began */
	uint64_t oldest_born_ns;   /**< 0 when unknown */
	bool has_grown;            /**< the whole history rose and then went flat */
	struct ml_residue residue; /**< of what stays */
};

/* Books are read while the target goes on: a sum may be a little less than it was before. */
static uint64_t gained(uint64_t before, uint64_t now)
{
	return now > before ? now - before : 0;
}

const char *ml_verdict_name(enum ml_verdict_class class)
{
	static const char *const names[] = {
		[ML_VERDICT_UNKNOWN] = "unknown", [ML_VERDICT_LEAK] = "leak",
		[ML_VERDICT_GROWING] = "growing", [ML_VERDICT_CACHE] = "cache",
		[ML_VERDICT_STEADY] = "steady",   [ML_VERDICT_STARTUP] = "startup",
	};

	return names[class];
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
	double span = ml_seconds_between(first->time_ns, last->time_ns);

	if (site->count >= MIN_POINTS && span >= MIN_SPAN_S)
		return false;

	double interval = site->count > 1 ? span / (double)(site->count - 1)
					  : ml_seconds_between(site->start_ns, last->time_ns);
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

/**
 * True, with the verdict, for a vector that doubles, or a pool that takes blocks twice as big each
 * time (PostgreSQL's memory contexts, APR's pools, arenas): each step takes longer than the one
 * before, so the next one is due for a long time after the last.
 */
static bool judge_steps(const struct history *site, struct ml_verdict *out)
{
	const struct ml_timeline_point *last = &site->points[site->count - 1];
	char size[ML_HUMAN_TEXT], quiet[ML_HUMAN_TEXT];
	struct ml_trend_steps steps;

	if (!ml_trend_find_steps(site->points, site->count, &steps) || steps.count < 3 ||
	    (!last->frees && !steps.is_each_bigger))
		return false;

	double quiet_s = ml_seconds_between(steps.last_ns, last->time_ns);
	double gap_s = ml_seconds_between(steps.before_ns, steps.last_ns);
	double span_s = ml_seconds_between(site->points[0].time_ns, last->time_ns);

	if (quiet_s > 2.5 * gap_s)
		return false;
	out->growth_bytes_per_s = (double)last->live_bytes / fmax(span_s, 1);
	ml_human_bytes((double)last->live_bytes, size);
	ml_human_time(quiet_s, quiet);
	if (last->frees)
		decide(out, ML_VERDICT_GROWING, 0.9 * evidence(site->count, span_s),
		       "replaced by something bigger %zu times, by %s %s ago: grows like a vector "
		       "that is only added to",
		       steps.count, size, quiet);
	else
		decide(out, ML_VERDICT_GROWING, 0.9 * evidence(site->count, span_s),
		       "took something bigger %zu times, up to %s %s ago: grows like a pool that "
		       "is only added to",
		       steps.count, size, quiet);
	return true;
}

/** True, with the verdict, when the site has stopped allocating. */
static bool judge_quiet(const struct history *site, struct ml_verdict *out)
{
	const struct ml_timeline_point *last = &site->points[site->count - 1];
	char text[3][ML_HUMAN_TEXT];
	size_t steps, active = last_active(site, &steps);
	uint64_t begin_ns = site->points[0].allocs ? site->start_ns : site->points[0].time_ns;
	double active_s = ml_seconds_between(begin_ns, site->points[active].time_ns);
	double quiet_s = ml_seconds_between(site->points[active].time_ns, last->time_ns);
	double gap_s = steps ? active_s / (double)steps : 0;

	if (site->count - 1 - active < 3 || quiet_s < active_s / 2 ||
	    (steps > 1 && quiet_s < 3 * gap_s))
		return false;
	out->growth_bytes_per_s = 0;

	double confidence = evidence(site->count, quiet_s);

	if (steps <= 2 || active_s < 0.1 * (active_s + quiet_s))
		decide(out, ML_VERDICT_STARTUP, confidence,
		       "%" PRIu64 " block%s allocated within %s, nothing new for %s", last->allocs,
		       last->allocs == 1 ? "" : "s", ml_human_time(active_s, text[0]),
		       ml_human_time(quiet_s, text[1]));
	else
		decide(out, ML_VERDICT_CACHE, 0.8 * confidence,
		       "grew to %s in %s, nothing new for %s",
		       ml_human_bytes((double)last->live_bytes, text[2]),
		       ml_human_time(active_s, text[0]), ml_human_time(quiet_s, text[1]));
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

/** The highest level of points @p from … @p to - 1, 0 when there are none. */
static double highest_of(const struct history *site, size_t from, size_t to)
{
	double highest = 0;

	for (size_t i = from; i < to; i++)
		highest = fmax(highest, (double)site->points[i].live_bytes);
	return highest;
}

/** The rise, in parts of the level, below which one that comes and goes counts as bounded. */
static double least_rise(const struct history *site, size_t from)
{
	if (site->residue.shape == ML_RESIDUE_DYING)
		return 0.25;
	return from ? 0.1 : 0.05;
}

/** Does the part of @p site from point @p from grow, beyond doubt and beyond noise? */
static bool is_growing(const struct history *site, size_t from, const struct ml_trend *trend)
{
	double rise = trend->slope * trend->span_s;
	double level = fmax(trend->first_quarter, 1);
	const struct ml_timeline_point *first = &site->points[from];
	const struct ml_timeline_point *last = &site->points[site->count - 1];

	if (trend->slope <= 0 || trend->z < (from ? Z_PART : ML_TREND_Z))
		return false;
	if (site->residue.shape != ML_RESIDUE_NONE && last->frees > first->frees &&
	    rise < least_rise(site, from) * level)
		return false;
	if (rise < 6 * trend->noise_bytes && (rise < 2 * trend->noise_bytes || rise < 0.2 * level))
		return false;
	if (trend->drawdown > 0.5 && !ml_trend_is_floor_rising(trend))
		return false;
	/* A part is the way up of a saw's tooth unless it goes beyond all that was before. */
	return !from || trend->last_quarter > highest_of(site, 0, from) + 0.3 * rise;
}

/** True when the oldest block alive is from the beginning of the part from point @p from on. */
static bool is_oldest_kept(const struct history *site, size_t from)
{
	uint64_t begin_ns = site->points[from].time_ns;
	uint64_t end_ns = site->points[site->count - 1].time_ns;

	return site->oldest_born_ns && site->oldest_born_ns <= begin_ns + (end_ns - begin_ns) / 5;
}

/** Growth in a straight line that does not come from blocks that are known to stay. */
static void judge_unconfirmed(const struct history *site, double freed, double sure,
			      const char *rate, const char *time, struct ml_verdict *out)
{
	if (site->residue.shape == ML_RESIDUE_DYING)
		decide(out, ML_VERDICT_GROWING, 0.9 * sure,
		       "grows by %s over %s, but in the end its blocks are freed", rate, time);
	else if (site->residue.shape == ML_RESIDUE_SLOWING && freed <= 0)
		decide(out, ML_VERDICT_GROWING, 0.6 * sure,
		       "grows by %s over %s and nothing is freed, but ever less is added", rate,
		       time);
	else if (site->residue.shape == ML_RESIDUE_SLOWING)
		decide(out, ML_VERDICT_GROWING, 0.6 * sure,
		       "grows by %s over %s, but ever fewer of its blocks stay", rate, time);
	else if (freed > 0)
		decide(out, ML_VERDICT_GROWING, 0.9 * sure,
		       "grows by %s over %s although %.0f %% of what it allocates is freed", rate,
		       time, 100 * freed);
	else
		decide(out, ML_VERDICT_GROWING, 0.7 * sure,
		       "grows by %s and none of its blocks of the last %s was freed: too early "
		       "to call it a leak, watch about %s longer",
		       rate, time, time);
}

/** Growth in a straight line: leak or growing, by how much is freed. */
static void judge_straight(const struct history *site, size_t from, const struct ml_trend *trend,
			   struct ml_verdict *out)
{
	const struct ml_timeline_point *first = &site->points[from];
	const struct ml_timeline_point *last = &site->points[site->count - 1];
	uint64_t allocs = gained(first->allocs, last->allocs);
	uint64_t frees = gained(first->frees, last->frees);
	double freed = allocs ? fmin((double)frees / (double)allocs, 1) : 1;
	double sure = evidence(site->count - from, trend->span_s);
	char rate[ML_HUMAN_TEXT], time[ML_HUMAN_TEXT];

	ml_human_rate(trend->slope, rate);
	ml_human_time(trend->span_s, time);
	if (site->residue.shape != ML_RESIDUE_NONE)
		judge_unconfirmed(site, freed, sure, rate, time, out);
	else if (!frees)
		decide(out, ML_VERDICT_LEAK, sure,
		       "every one of the %" PRIu64
		       " blocks of the last %s is still there; grows by %s",
		       allocs, time, rate);
	else if (freed <= 0.1)
		decide(out, ML_VERDICT_LEAK, sure * (1 - freed),
		       "only %" PRIu64 " of the %" PRIu64
		       " blocks of the last %s were freed; grows by %s",
		       frees, allocs, time, rate);
	else if (trend->span_s >= CHURN_SPAN_S && is_oldest_kept(site, from) &&
		 trend->straightness < 1.7 &&
		 trend->slope * trend->span_s >= 6 * trend->noise_bytes)
		decide(out, ML_VERDICT_LEAK, 0.8 * sure,
		       "%.0f %% of its blocks are freed, but the rest stays since the beginning "
		       "and "
		       "grows by %s in a straight line",
		       100 * freed, rate);
	else
		decide(out, ML_VERDICT_GROWING, 0.9 * sure,
		       "grows by %s over %s although %.0f %% of what it allocates is freed", rate,
		       time, 100 * freed);
}

/** Leak or merely growing: the part of @p site from point @p from on rises as @p trend says. */
static void judge_growth(const struct history *site, size_t from, const struct ml_trend *trend,
			 struct ml_verdict *out)
{
	const struct ml_timeline_point *first = &site->points[from];
	const struct ml_timeline_point *last = &site->points[site->count - 1];
	uint64_t allocs = gained(first->allocs, last->allocs);
	double sure = evidence(site->count - from, trend->span_s);
	char rate[ML_HUMAN_TEXT], time[ML_HUMAN_TEXT];

	ml_human_rate(trend->slope, rate);
	ml_human_time(trend->span_s, time);
	if (trend->straightness < SLOWING)
		decide(out, site->has_grown ? ML_VERDICT_CACHE : ML_VERDICT_GROWING, 0.6 * sure,
		       "grows ever slower, by %s in the last %s", rate, time);
	else if (site->has_grown && (double)allocs < 0.02 * (double)last->live_count)
		decide(out, ML_VERDICT_CACHE, 0.7 * sure,
		       "grew to %s and has hardly grown in the last %s",
		       ml_human_bytes((double)last->live_bytes, rate), time);
	else if (site->has_grown &&
		 (allocs < FEW_BLOCKS || trend->likely_straightness < PROBABLY_STRAIGHT))
		decide(out, ML_VERDICT_GROWING, 0.5 * sure,
		       "had nearly stopped growing, but has %" PRIu64 " new blocks of the last %s",
		       allocs, time);
	else
		judge_straight(site, from, trend, out);
}

/** What judge_bounded() looks at: the newer half of the points. */
struct late_half {
	uint64_t allocs, frees;
	double span_s;
	double least, most; /**< bytes */
	double sure;
};

/** Neither grows nor frees: grew before, or there is too little to see. */
static void judge_unfreed(const struct history *site, const struct late_half *late,
			  struct ml_verdict *out)
{
	bool has_grown = late->least >= 0.95 * late->most &&
			 2 * (double)site->points[0].live_bytes < late->least;
	char high[ML_HUMAN_TEXT], time[ML_HUMAN_TEXT];
	size_t steps;

	ml_human_time(late->span_s, time);
	last_active(site, &steps);
	if (site->has_grown || (has_grown && steps > 2))
		decide(out, ML_VERDICT_CACHE, 0.8 * late->sure,
		       "grew to %s and has hardly grown in the last %s",
		       ml_human_bytes(late->most, high), time);
	else if (!late->allocs)
		decide(out, ML_VERDICT_UNKNOWN, 0,
		       "nothing new for %s: too early to tell, watch %.0f s longer", time,
		       ceil(late->span_s));
	else
		decide(out, ML_VERDICT_UNKNOWN, 0,
		       "%" PRIu64
		       " new block%s and none freed in %s: too few to tell, watch %.0f s "
		       "longer",
		       late->allocs, late->allocs == 1 ? "" : "s", time, ceil(2 * late->span_s));
}

/** The middle, but the beginning when all that was freed was freed before the middle. */
static size_t begin_of_late(const struct history *site)
{
	size_t middle = site->count / 2;
	uint64_t frees = site->points[site->count - 1].frees;

	return frees > site->points[0].frees && frees == site->points[middle].frees ? 0 : middle;
}

/** It does not grow: cache or steady. */
static void judge_bounded(const struct history *site, struct ml_verdict *out)
{
	const struct ml_timeline_point *last = &site->points[site->count - 1];
	size_t middle = begin_of_late(site);
	const struct ml_timeline_point *first = &site->points[middle];
	struct late_half late = {
		.allocs = gained(first->allocs, last->allocs),
		.frees = gained(first->frees, last->frees),
		.span_s = ml_seconds_between(first->time_ns, last->time_ns),
		.most = highest_of(site, middle, site->count),
		.sure = evidence(site->count,
				 ml_seconds_between(site->points[0].time_ns, last->time_ns)),
	};
	char low[ML_HUMAN_TEXT], high[ML_HUMAN_TEXT], time[ML_HUMAN_TEXT];

	late.least = late.most;
	for (size_t i = middle; i < site->count; i++)
		late.least = fmin(late.least, (double)site->points[i].live_bytes);
	if (!late.frees) {
		judge_unfreed(site, &late, out);
		return;
	}

	/* Little's law: what is there is the rate of arrival times the time of stay. */
	double stay_s = late.allocs ? (double)last->live_count * late.span_s / (double)late.allocs
				    : late.span_s;

	if (late.most > 0 && late.least >= 0.75 * late.most && stay_s >= LONG_LIVED_S)
		decide(out, ML_VERDICT_CACHE, 0.9 * late.sure,
		       "stays at %s: as much is freed as allocated, a block stays about %s",
		       ml_human_bytes(late.most, high), ml_human_time(stay_s, time));
	else
		decide(out, ML_VERDICT_STEADY, late.sure,
		       "%" PRIu64 " block%s allocated and %" PRIu64
		       " freed in %s, between %s and %s",
		       late.allocs, late.allocs == 1 ? "" : "s", late.frees,
		       ml_human_time(late.span_s, time), ml_human_bytes(late.least, low),
		       ml_human_bytes(late.most, high));
}

/**
 * Where part @p number of the history begins, false when there is none: 0 the whole, 1 the newer
 * half of the time, 2 and 3 the 32 and 16 newest points. A part of nearly the size of the one
 * before (from @p before on), or one whose highest point was reached earlier, has nothing to add.
 */
static bool begin_part(const struct history *site, int number, size_t before, size_t *from)
{
	const struct ml_timeline_point *points = site->points;
	size_t newest = number == 2 ? 32 : 16, begin = before;

	if (number == 0) {
		*from = 0;
		return true;
	}
	if (number == 1) {
		uint64_t middle_ns = points[0].time_ns / 2 + points[site->count - 1].time_ns / 2;

		while (points[begin].time_ns < middle_ns)
			begin++;
	} else if (site->count > newest) {
		begin = site->count - newest;
	}
	if (begin < before || site->count - begin < 8 ||
	    4 * (site->count - begin) > 3 * (site->count - before) ||
	    highest_of(site, begin, site->count) <= highest_of(site, 0, begin))
		return false;
	*from = begin;
	return true;
}

/** Whether a rise may be over although it looks straight on the whole. */
static bool may_stop(const struct history *site, const struct ml_trend *trend)
{
	return trend->straightness < SLOWING || site->residue.shape == ML_RESIDUE_DYING;
}

/** True when the newest third of the part from point @p from on does not grow any more. */
static bool has_stopped(const struct history *site, size_t from)
{
	size_t third = site->count - (site->count - from) / 3;
	struct ml_trend trend;

	if (site->count - third < 6)
		return false;
	ml_trend_measure(site->points + third, site->count - third, &trend);
	return trend.slope * trend.span_s < least_rise(site, third) * trend.first_quarter / 2 ||
	       trend.z < ML_TREND_Z;
}

/** The whole history first, then newer parts of it: a leak may begin late. */
static void judge_active(struct history *site, struct ml_verdict *out)
{
	size_t from = 0;

	for (int number = 0; number < 4; number++) {
		struct ml_trend trend;

		if (!begin_part(site, number, from, &from))
			continue;
		ml_trend_measure(site->points + from, site->count - from, &trend);
		if (!from)
			out->growth_bytes_per_s = trend.slope;
		if (!is_growing(site, from, &trend))
			continue;
		out->growth_bytes_per_s = trend.slope;
		if (trend.straightness >= FLAT &&
		    !(may_stop(site, &trend) && has_stopped(site, from))) {
			judge_growth(site, from, &trend, out);
			return;
		}
		site->has_grown = true;
		out->growth_bytes_per_s = 0;
	}
	judge_bounded(site, out);
}

/** Mean of the blocks alive at points @p from … @p to - 1. */
static double mean_count(const struct history *site, size_t from, size_t to)
{
	double sum = 0;

	for (size_t i = from; i < to; i++)
		sum += (double)site->points[i].live_count;
	return sum / (double)(to - from);
}

/**
 * False when blocks stay but the site as a whole has not grown by them: a cache whose best entries
 * stay, a stack whose bottom does. A level that swings by more than what stays says nothing.
 */
static bool has_grown_by(const struct history *site, const struct ml_residue *residue)
{
	double squares = 0, steps = 0;
	size_t i = site->count - 1;

	for (; i > 0 && site->points[i].time_ns > residue->from_ns; i--) {
		double step =
			(double)site->points[i].live_count - (double)site->points[i - 1].live_count;

		squares += step * step;
		steps++;
	}

	/* A few points at each end, lest a level that jumps about hides it. */
	size_t few = steps < 16 ? 1 : 4;
	double rise =
		mean_count(site, site->count - few, site->count) - mean_count(site, i, i + few);

	return rise + 2 * sqrt(squares / fmax(steps, 1)) >= 0.75 * residue->blocks;
}

/** True, with the verdict, when more and more blocks stay for good. */
static bool judge_residue(const struct history *site, struct ml_verdict *out)
{
	const struct ml_residue *residue = &site->residue;
	char rate[ML_HUMAN_TEXT], time[ML_HUMAN_TEXT], settled[ML_HUMAN_TEXT];

	if (residue->shape != ML_RESIDUE_STRAIGHT || !has_grown_by(site, residue))
		return false;

	double sure = evidence(site->count, residue->span_s);
	double allocs = fmax(residue->allocs, residue->blocks);

	out->growth_bytes_per_s = residue->bytes / residue->span_s;
	ml_human_rate(out->growth_bytes_per_s, rate);
	ml_human_time(residue->span_s, time);
	if (!site->points[site->count - 1].frees)
		decide(out, ML_VERDICT_LEAK, sure,
		       "every one of the %.0f blocks of the last %s is still there; grows by %s "
		       "in a straight line",
		       residue->blocks, time, rate);
	else
		decide(out, ML_VERDICT_LEAK, 0.95 * sure,
		       "%.0f of the %.0f blocks of %s stay: what gets older than %s is not freed "
		       "any more; grows by %s in a straight line",
		       residue->blocks, allocs, time,
		       ml_human_time(fmax(residue->settle_s, 0.5), settled), rate);
	return true;
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
	if (judge_evidence(&site, out) || judge_steps(&site, out) || judge_quiet(&site, out))
		return;
	skip_idle_lead(&site);
	if (judge_evidence(&site, out))
		return;
	ml_residue_measure(timeline, stack, &site.residue);
	if (judge_residue(&site, out))
		return;
	judge_active(&site, out);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "model/residue.h"

#include "base/clock.h"
#include "model/timeline.h"

#include <math.h>

/* Of blocks of an age, this share may die later and they still count as staying. */
#define DYING_SHARE 0.1
/* A residue is said to grow from this many blocks, cohorts with such blocks, cohorts, seconds. */
#define MIN_BLOCKS 4
/* Where others of the site's blocks are freed a level may swing: more blocks, a longer time. */
#define MIN_MIXED_BLOCKS 8
#define MIN_MIXED_SPAN_S 20.0
/* What grew faster at first may be a pool that grows to its peak: ever more rarely. */
#define MIN_CUT_BLOCKS 32
#define MIN_CLUMPS     4
#define MIN_COHORTS    5
#define MIN_SPAN_S     2.5
/* … or from this much time with one cohort less. */
#define LONG_SPAN_S 8.0

/** Blocks alive now by birth: sums over all births until time_s, from the start of tracing on. */
struct curve {
	size_t count;
	double time_s[ML_COHORTS];
	double blocks[ML_COHORTS];
	double bytes[ML_COHORTS];
	double allocs[ML_COHORTS];
	uint64_t start_ns;
	bool is_mixed; /**< some of the site's blocks are freed */
};

/** A stretch of births in seconds from the start of tracing. */
struct window {
	double from, to;
};

static void draw_curve(const struct ml_cohort_starts *starts,
		       const struct ml_cohort_history *history, struct curve *out)
{
	double blocks = 0, bytes = 0;

	out->start_ns = starts->start_ns[0];
	out->count = starts->count;
	for (size_t i = 0; i < starts->count; i++) {
		out->time_s[i] = ml_seconds_between(out->start_ns, starts->start_ns[i]);
		out->blocks[i] = blocks;
		out->bytes[i] = bytes;
		out->allocs[i] = (double)history->allocs[i];
		blocks += (double)history->alive.count[i];
		bytes += (double)history->alive.bytes[i];
	}
}

/** @p values of the curve at @p at_s, on a straight line between its points. */
static double value_at(const struct curve *curve, const double *values, double at_s)
{
	for (size_t i = 1; i < curve->count; i++) {
		double width = curve->time_s[i] - curve->time_s[i - 1];

		if (at_s <= curve->time_s[i] && width > 0)
			return values[i - 1] + (values[i] - values[i - 1]) *
						       fmax(at_s - curve->time_s[i - 1], 0) / width;
	}
	return values[curve->count - 1];
}

static double rise(const struct curve *curve, const double *values, double from, double to)
{
	return value_at(curve, values, to) - value_at(curve, values, from);
}

/** Age of the oldest block alive, as far as cohorts tell. */
static double oldest_age(const struct curve *curve)
{
	size_t i = 0;

	while (i + 2 < curve->count && curve->blocks[i + 1] <= 0)
		i++;
	return curve->time_s[curve->count - 1] - curve->time_s[i];
}

/**
 * From which age on blocks hardly die any more, INFINITY when there is no such age. The chance to
 * die within an age is deaths by time watched (a piecewise constant hazard). Where blocks do die,
 * few that were watched prove little: half a death is added to those of each age.
 */
static double settle_age(const struct ml_cohort_history *history, double oldest_s, bool is_mixed)
{
	double dying = 0;

	for (size_t bin = 0; bin < ML_AGE_BINS; bin++)
		if (history->deaths[bin] > 0)
			oldest_s = fmax(oldest_s, ML_AGE_BASE_S * pow(2, (double)bin));

	for (size_t bin = ML_AGE_BINS; bin-- > 0;) {
		double upper = ML_AGE_BASE_S * pow(2, (double)bin);
		double lower = bin ? upper / 2 : 0, width, doubt;

		if (history->block_seconds[bin] <= 0)
			continue;
		width = fmax(fmin(upper, oldest_s) - lower, 0);
		doubt = is_mixed ? 0.5 * width / (upper - lower) : 0;
		dying += (history->deaths[bin] + doubt) / history->block_seconds[bin] * width;
		if (dying > DYING_SHARE)
			return 2 * upper > oldest_s ? INFINITY : upper;
	}
	return 0;
}

/**
 * True when the oldest blocks are gone while younger ones are there: first in, first out. Those
 * from the very beginning may be of another kind, so a few cohorts are asked.
 */
static bool is_oldest_gone(const struct curve *curve, double end_s)
{
	double allocs = 0, blocks = 0;
	size_t i = 1;

	for (; i < curve->count && curve->time_s[i] <= end_s; i++) {
		allocs = curve->allocs[i] - curve->allocs[0];
		blocks = curve->blocks[i] - curve->blocks[0];
		if (allocs >= 8 && curve->time_s[i] >= 0.05 * end_s)
			break;
	}
	if (i >= curve->count || allocs < 8)
		return false;

	double later_allocs = rise(curve, curve->allocs, curve->time_s[i], end_s);
	double later_blocks = rise(curve, curve->blocks, curve->time_s[i], end_s);

	return later_allocs > 0 && blocks / allocs < 0.4 * fmin(later_blocks / later_allocs, 1) &&
	       later_blocks / later_allocs > 0.5;
}

/** What is to be known of a window to judge its shape. */
struct halves {
	double first, second; /**< blocks of the older and the newer half */
	double deviation;     /**< standard deviation of their difference */
	size_t cohorts, clumps;
};

static void measure_halves(const struct curve *curve, struct window window, struct halves *out)
{
	double middle = (window.from + window.to) / 2, variance = 0;

	*out = (struct halves){
		.first = rise(curve, curve->blocks, window.from, middle),
		.second = rise(curve, curve->blocks, middle, window.to),
	};
	for (size_t i = 1; i < curve->count; i++) {
		double from = fmax(curve->time_s[i - 1], window.from);
		double to = fmin(curve->time_s[i], window.to), width = to - from;
		double half = (from + to) / 2 < middle ? out->first : out->second;
		double blocks;

		if (width <= 0 || width < 0.3 * (curve->time_s[i] - curve->time_s[i - 1]))
			continue;
		blocks = rise(curve, curve->blocks, from, to);
		out->cohorts++;
		out->clumps += blocks >= 0.5;
		variance += pow(blocks - half * width / (middle - window.from), 2) / width;
	}
	variance /= out->cohorts > 3 ? (double)out->cohorts - 2 : 1;
	/* Never less than that of events that come one by one at random. */
	out->deviation = sqrt(fmax(variance * (window.to - window.from), out->first + out->second));
}

enum shape { FEW, SLOWING, STRAIGHT, SPEEDING, LATE };

/** @p is_cut: what came before the window was left out since growth was faster then. */
static enum shape shape_of(const struct curve *curve, struct window window, bool is_cut)
{
	double span = window.to - window.from;
	struct halves halves;
	double less, few = curve->is_mixed ? MIN_MIXED_BLOCKS : MIN_BLOCKS;

	if (is_cut)
		few = MIN_CUT_BLOCKS;
	if (span < (curve->is_mixed ? MIN_MIXED_SPAN_S : MIN_SPAN_S))
		return FEW;
	measure_halves(curve, window, &halves);
	if (halves.cohorts < MIN_COHORTS - (span >= LONG_SPAN_S))
		return FEW;
	less = halves.first - halves.second;
	if ((halves.second < 0.8 * halves.first && less > 3 * halves.deviation) ||
	    (halves.second < 0.5 * halves.first &&
	     less > (is_cut ? 1.5 : 2.5) * halves.deviation) ||
	    halves.second < (is_cut ? 0.65 : 0.25) * halves.first)
		return SLOWING;
	if (halves.second > 4 * halves.first ||
	    (halves.second > 1.7 * halves.first && -less > 2 * halves.deviation))
		return halves.first < few / 2 || halves.clumps < 2 * MIN_CLUMPS ? LATE : SPEEDING;
	if (halves.clumps < MIN_CLUMPS - (span >= LONG_SPAN_S) ||
	    halves.first + halves.second < few)
		return FEW;
	return STRAIGHT;
}

/**
 * Looks for the longest stretch up to the end of @p whole in which as much is added in the newer
 * half as in the older one. A start-up in the first quarter is left out; where the newer half has
 * much more than the older one, growth began late, and only the newer half is looked at.
 */
static enum shape find_growth(const struct curve *curve, struct window whole, struct window *out)
{
	static const double skips[] = {0, 0.125, 0.25};
	struct window window, speeding = {0};
	enum shape shape = FEW;

	for (*out = whole;; out->from = (out->from + out->to) / 2) {
		for (size_t i = 0; i < sizeof(skips) / sizeof(skips[0]); i++) {
			window = *out;
			window.from += skips[i] * (out->to - out->from);
			shape = shape_of(curve, window, i > 0);
			if (shape != SLOWING)
				break;
		}
		if (shape == SPEEDING)
			speeding = window;
		if (shape != LATE && shape != SPEEDING)
			break;
	}
	/* Too short a part of what grows faster and faster does not make the whole doubtful. */
	if (shape == FEW && speeding.to > 0) {
		window = speeding;
		shape = STRAIGHT;
	}
	*out = window;
	return shape;
}

void ml_residue_measure(const struct ml_timeline *timeline, uint64_t stack, struct ml_residue *out)
{
	const struct ml_cohort_history *history = ml_timeline_survivors(timeline, stack);
	struct window whole = {0}, window;
	const struct ml_residue *given = ml_timeline_residue(timeline, stack);
	const struct ml_timeline_point *points;
	struct curve curve;
	size_t count;
	double now_s;

	*out = given ? *given : (struct ml_residue){.shape = ML_RESIDUE_NONE};
	if (given || !history)
		return;
	out->shape = ML_RESIDUE_UNKNOWN;
	draw_curve(ml_timeline_cohorts(timeline), history, &curve);
	now_s = curve.time_s[curve.count - 1];
	count = ml_timeline_points(timeline, stack, &points);
	curve.is_mixed = points[count - 1].frees > 0;
	out->settle_s = settle_age(history, oldest_age(&curve), curve.is_mixed);
	if (isinf(out->settle_s) || is_oldest_gone(&curve, now_s)) {
		out->shape = ML_RESIDUE_DYING;
		return;
	}
	whole.to = now_s - out->settle_s;
	switch (find_growth(&curve, whole, &window)) {
	case STRAIGHT:
		out->shape = ML_RESIDUE_STRAIGHT;
		break;
	case SLOWING:
		out->shape = ML_RESIDUE_SLOWING;
		break;
	default:
		out->shape = ML_RESIDUE_UNKNOWN;
		break;
	}
	out->from_ns = curve.start_ns + (uint64_t)(window.from * (double)ML_NS_PER_SECOND);
	out->span_s = window.to - window.from;
	out->blocks = rise(&curve, curve.blocks, window.from, window.to);
	out->bytes = rise(&curve, curve.bytes, window.from, window.to);
	out->allocs = rise(&curve, curve.allocs, window.from, window.to);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "model/trend.h"

#include "base/clock.h"

#include <math.h>
#include <string.h>

/* A level that rises by this factor from one point to the next has made a step. */
#define STEP 1.3
/* Blocks that double, seen one by one or now and then two at once. */
#define STEP_RISE 1.4
/* More blocks than this are not one that grows. */
#define STEP_BLOCKS 16

#define PAIRS       (ML_TREND_POINTS * (ML_TREND_POINTS - 1) / 2)

/** Fills time_s and bytes with the points themselves. */
static void take_points(const struct ml_timeline_point *points, size_t count, struct ml_trend *out)
{
	out->count = count;
	for (size_t i = 0; i < count; i++) {
		out->time_s[i] = ml_seconds_between(points[0].time_ns, points[i].time_ns);
		out->bytes[i] = (double)points[i].live_bytes;
	}
}

/** Fills time_s and bytes with the means of equal stretches of time, empty ones left out. */
static void take_means(const struct ml_timeline_point *points, size_t count, struct ml_trend *out)
{
	size_t next = 0;

	for (size_t bin = 0; bin < ML_TREND_POINTS; bin++) {
		double end = out->span_s * (double)(bin + 1) / ML_TREND_POINTS;
		double time_sum = 0, bytes_sum = 0;
		size_t members = 0;

		for (; next < count; next++, members++) {
			double at = ml_seconds_between(points[0].time_ns, points[next].time_ns);

			if (at > end && bin + 1 < ML_TREND_POINTS)
				break;
			time_sum += at;
			bytes_sum += (double)points[next].live_bytes;
		}
		if (!members)
			continue;
		out->time_s[out->count] = time_sum / (double)members;
		out->bytes[out->count++] = bytes_sum / (double)members;
	}
}

/** The median of @p values, which are reordered (Hoare's quickselect). */
static double median(double *values, size_t count)
{
	size_t low = 0, high = count - 1, middle = count / 2;

	while (low < high) {
		double pivot = values[low + (high - low) / 2];
		size_t i = low, j = high;

		while (i <= j) {
			while (values[i] < pivot)
				i++;
			while (values[j] > pivot)
				j--;
			if (i > j)
				break;
			double swapped = values[i];
			values[i++] = values[j];
			values[j] = swapped;
			if (!j)
				break;
			j--;
		}
		if (middle <= j)
			high = j;
		else if (middle >= i)
			low = i;
		else
			break;
	}
	return values[middle];
}

/** Rises less falls over all pairs of points, in standard deviations. */
static void measure_significance(struct ml_trend *trend)
{
	double n = (double)trend->count;
	int rises = 0, changes = 0;

	for (size_t i = 1; i < trend->count; i++)
		changes += trend->bytes[i] != trend->bytes[i - 1];
	for (size_t i = 0; i < trend->count; i++)
		for (size_t j = i + 1; j < trend->count; j++)
			rises += (trend->bytes[j] > trend->bytes[i]) -
				 (trend->bytes[j] < trend->bytes[i]);

	/*
	 * Without the correction for ties: on the safe side. A level that stays the same for many
	 * points is one observation, not many.
	 */
	trend->z = (rises - (rises > 0) + (rises < 0)) / sqrt(n * (n - 1) * (2 * n + 5) / 18) *
		   sqrt((changes + 1) / n);
}

static void measure_slope(struct ml_trend *trend)
{
	double slopes[PAIRS];
	size_t pairs = 0;

	for (size_t i = 0; i < trend->count; i++)
		for (size_t j = i + 1; j < trend->count; j++)
			slopes[pairs++] = (trend->bytes[j] - trend->bytes[i]) /
					  (trend->time_s[j] - trend->time_s[i]);
	trend->slope = median(slopes, pairs);
}

static void measure_noise(struct ml_trend *trend)
{
	double rest[ML_TREND_POINTS];

	for (size_t i = 0; i < trend->count; i++)
		rest[i] = trend->bytes[i] - trend->slope * trend->time_s[i];

	double base = median(rest, trend->count);

	for (size_t i = 0; i < trend->count; i++)
		rest[i] = fabs(trend->bytes[i] - trend->slope * trend->time_s[i] - base);
	trend->noise_bytes = median(rest, trend->count);
}

/**
 * A standard deviation of the points' noise from one point to the next: the bend of the whole is
 * no part of it. (1.48 median distances are a standard deviation; a difference has two points'.)
 */
static double local_deviation(const struct ml_trend *trend)
{
	double rest[ML_TREND_POINTS];

	for (size_t i = 0; i + 1 < trend->count; i++)
		rest[i] = fabs(trend->bytes[i + 1] - trend->bytes[i] -
			       trend->slope * (trend->time_s[i + 1] - trend->time_s[i]));
	return 1.48 / sqrt(2) * median(rest, trend->count - 1);
}

static double quarter_mean(const struct ml_trend *trend, size_t quarter)
{
	size_t from = quarter * trend->count / 4, to = (quarter + 1) * trend->count / 4;
	double sum = 0;

	if (!trend->count)
		return 0;
	if (from >= to)
		return trend->bytes[from < trend->count ? from : trend->count - 1];
	for (size_t i = from; i < to; i++)
		sum += trend->bytes[i];
	return sum / (double)(to - from);
}

static void measure_shape(struct ml_trend *trend)
{
	double third = quarter_mean(trend, 2);

	trend->first_quarter = quarter_mean(trend, 0);
	trend->last_quarter = quarter_mean(trend, 3);
	trend->straightness = trend->likely_straightness = 1;
	if (trend->count < 6)
		return;

	/* Three steps lead from the first quarter to the last. */
	double step = (trend->last_quarter - trend->first_quarter) / 3;
	double last_step = trend->last_quarter - third;
	/* Both are means of a quarter of the points. */
	double doubt = 2 * local_deviation(trend) * sqrt(8.0 / (double)trend->count);

	if (step <= 0)
		return;
	trend->likely_straightness = fmax(last_step / step, 0);
	if (fabs(step - last_step) > doubt)
		trend->straightness = trend->likely_straightness;
}

static void measure_range(struct ml_trend *trend)
{
	double peak = trend->bytes[0], fall = 0;

	trend->min = trend->max = trend->bytes[0];
	for (size_t i = 1; i < trend->count; i++) {
		trend->min = fmin(trend->min, trend->bytes[i]);
		trend->max = fmax(trend->max, trend->bytes[i]);
		peak = fmax(peak, trend->bytes[i]);
		fall = fmax(fall, peak - trend->bytes[i]);
	}
	trend->drawdown = trend->max > trend->min ? fall / (trend->max - trend->min) : 0;
}

void ml_trend_measure(const struct ml_timeline_point *points, size_t count, struct ml_trend *out)
{
	memset(out, 0, sizeof(*out));
	out->span_s = ml_seconds_between(points[0].time_ns, points[count - 1].time_ns);
	if (count <= ML_TREND_POINTS)
		take_points(points, count, out);
	else
		take_means(points, count, out);
	measure_significance(out);
	if (fabs(out->z) < ML_TREND_Z)
		return;
	measure_slope(out);
	measure_noise(out);
	measure_shape(out);
	measure_range(out);
}

bool ml_trend_is_floor_rising(const struct ml_trend *trend)
{
	double first = 0, last = 0;
	int lows = 0, rises = 0;

	for (size_t i = 1; i + 1 < trend->count; i++) {
		if (trend->bytes[i] >= trend->bytes[i - 1] || trend->bytes[i] > trend->bytes[i + 1])
			continue;
		if (lows++ == 0)
			first = trend->bytes[i];
		else
			rises += trend->bytes[i] > last;
		last = trend->bytes[i];
	}
	return lows >= 3 && 4 * rises >= 3 * (lows - 1) &&
	       last - first >= 0.2 * (trend->max - trend->min);
}

bool ml_trend_find_steps(const struct ml_timeline_point *points, size_t count,
			 struct ml_trend_steps *out)
{
	double before = (double)points[0].live_bytes, rise = 0;
	size_t falls = 0;

	*out = (struct ml_trend_steps){.is_each_bigger = true};
	for (size_t i = 1; i < count; i++) {
		const struct ml_timeline_point *point = &points[i];
		/* A report may come while the old storage is still there beside the new one. */
		uint64_t next = i + 1 < count ? point[1].live_bytes : point->live_bytes;
		double now = (double)(next < point->live_bytes ? next : point->live_bytes);

		if (now < 0.95 * before || point->live_count > STEP_BLOCKS)
			return false;
		if (now >= STEP * before) {
			out->count++;
			out->before_ns = out->last_ns;
			out->last_ns = point->time_ns;
			out->is_each_bigger &= now - before >= STEP_RISE * rise;
			rise = now - before;
		}
		before = now;
		falls += point->live_bytes < point[-1].live_bytes;
	}
	return falls <= 1;
}

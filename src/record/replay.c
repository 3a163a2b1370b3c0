/* SPDX-License-Identifier: BSD-2-Clause */
#include "record/replay.h"

#include "base/clock.h"
#include "record/selection.h"

#include <inttypes.h>
#include <stdio.h>

/* A way through a recording. */
struct way {
	struct ml_recording *recording;
	const struct ml_replay *replay;
	struct ml_snapshot since; /* the sites at `from` */
	struct ml_report since_moment;
	uint64_t since_mark;
	bool has_since;
	uint64_t marks; /* so far */
	double from_s, to_s;
	double first_s; /* time of the first moment */
};

static double seconds_of(struct timespec time)
{
	return (double)time.tv_sec + (double)time.tv_nsec / (double)ML_NS_PER_SECOND;
}

static bool is_time(const struct ml_point *point)
{
	return point->kind == ML_POINT_CLOCK || point->kind == ML_POINT_TIME;
}

/* True when the moment ahead is later than @point, which is a time or a span. */
static bool is_beyond(const struct ml_point *point, double point_s,
		      const struct ml_recording_ahead *ahead)
{
	double time_s = seconds_of(ahead->time);

	if (point->kind == ML_POINT_ELAPSED)
		return ahead->elapsed_s > point->elapsed_s;
	return is_time(point) &&
	       (point->width_s > 0 ? time_s >= point_s + point->width_s : time_s > point_s);
}

static void keep_since(struct way *way)
{
	const struct ml_recording_moment *moment = ml_recording_moment(way->recording);

	ml_selection_copy_sites(moment->snapshot, &way->since);
	way->since_moment = moment->report;
	way->since_mark = moment->mark;
	way->has_since = true;
}

/* Whether what came before the moment reached is to be left out. */
static bool is_from(const struct way *way, bool has_ahead, const struct ml_recording_ahead *ahead)
{
	const struct ml_recording_moment *moment = ml_recording_moment(way->recording);
	const struct ml_point *from = &way->replay->from;

	switch (from->kind) {
	case ML_POINT_MARK:
		return moment->mark == from->mark;
	case ML_POINT_LAST_MARK:
		return moment->mark != 0;
	case ML_POINT_START:
		return !way->has_since;
	case ML_POINT_END:
		return !has_ahead;
	default:
		return !way->has_since && (!has_ahead || is_beyond(from, way->from_s, ahead));
	}
}

/* Whether the moment reached is the one that is wanted. */
static bool is_to(const struct way *way, const struct ml_recording_ahead *ahead)
{
	const struct ml_recording_moment *moment = ml_recording_moment(way->recording);
	const struct ml_point *to = &way->replay->to;

	if (to->kind == ML_POINT_MARK)
		return moment->mark == to->mark;
	return to->kind == ML_POINT_START || is_beyond(to, way->to_s, ahead);
}

/* A time of day means one of the recording's days. */
static void resolve_times(struct way *way)
{
	const struct ml_report *report = &ml_recording_moment(way->recording)->report;
	struct ml_point_moment first = {report->time, report->utc_offset_s, report->elapsed_s};

	way->first_s = seconds_of(report->time);
	way->from_s = ml_point_time_s(&way->replay->from, &first);
	way->to_s = ml_point_time_s(&way->replay->to, &first);
}

static struct ml_error *walk(struct way *way)
{
	struct ml_recording_ahead ahead;
	bool is_there = true, is_first = true;

	for (;;) {
		struct ml_error *error = ml_recording_next(way->recording, &is_there);

		if (error || !is_there)
			return error;
		if (is_first)
			resolve_times(way);
		is_first = false;
		if (ml_recording_moment(way->recording)->mark)
			way->marks = ml_recording_moment(way->recording)->mark;
		error = ml_recording_peek(way->recording, &is_there, &ahead);
		if (error)
			return error;
		if (way->replay->has_from && is_from(way, is_there, &ahead))
			keep_since(way);
		if (!is_there || is_to(way, &ahead))
			return NULL;
	}
}

static struct ml_error *no_such_mark(const struct way *way)
{
	if (!way->marks)
		return ml_error_new(ML_ERROR_USAGE,
				    "there is no mark in the recording (SIGUSR1 sets them)");
	return ml_error_new(ML_ERROR_USAGE,
			    "there is no such mark: the last one is number %" PRIu64, way->marks);
}

/* Whether the way led where it was to lead. */
static struct ml_error *check(const struct way *way)
{
	const struct ml_recording_moment *moment = ml_recording_moment(way->recording);
	const struct ml_point *to = &way->replay->to;

	if (to->kind == ML_POINT_MARK && moment->mark != to->mark)
		return no_such_mark(way);
	if ((is_time(to) && way->to_s + to->width_s <= way->first_s) ||
	    (to->kind == ML_POINT_ELAPSED && moment->report.elapsed_s > to->elapsed_s))
		return ml_error_new(
			ML_ERROR_USAGE,
			"the recording has no report that early: its first is of %.1f s",
			moment->report.elapsed_s);
	if (way->replay->has_from && !way->has_since)
		return no_such_mark(way);
	if (way->replay->wants_blocks && !moment->report.show_blocks)
		return ml_error_new(ML_ERROR_USAGE, "there are no single blocks in the recording: "
						    "its run had no --show-allocs");
	return NULL;
}

static void note_since(const struct way *way, bool is_exact, struct ml_report *report)
{
	struct tm local = ml_report_local_time(&way->since_moment);
	char mark[40] = "";

	if (way->since_mark)
		snprintf(mark, sizeof(mark), "mark %" PRIu64 " at ", way->since_mark);
	ml_report_note(report, "since %s%02d:%02d:%02d: %s", mark, local.tm_hour, local.tm_min,
		       local.tm_sec,
		       is_exact ? "only blocks allocated after it"
				: "how much more each stack has than it had then");
}

static void add_notes(const struct way *way, const struct ml_selection *selection,
		      struct ml_report *report)
{
	const struct ml_recording_moment *moment = ml_recording_moment(way->recording);
	const char *early = ml_recording_early_end(way->recording);

	for (size_t i = 0; i < moment->note_count; i++)
		ml_report_note(report, "%s", moment->notes[i]);
	if (way->has_since)
		note_since(way, selection->has_blocks, report);
	if (!selection->has_blocks && selection->older_ns)
		ml_report_note(report, "ages are those of the oldest block of each stack: recorded "
				       "without single blocks");
	if (!selection->has_blocks && (selection->min_size || selection->max_size))
		ml_report_note(report, "sizes are the mean of each stack: recorded without single "
				       "blocks");
	if (early)
		ml_report_note(report, "%s", early);
}

static void build(const struct way *way, struct ml_report *out)
{
	const struct ml_replay *replay = way->replay;
	const struct ml_recording_moment *moment = ml_recording_moment(way->recording);
	struct ml_report report = moment->report;
	struct ml_selection selection = {
		.since = way->has_since ? &way->since : NULL,
		.older_ns = replay->older_ns,
		.min_size = replay->min_size,
		.max_size = replay->max_size,
		.has_blocks = report.show_blocks && report.sampling == ML_SAMPLING_ALL,
	};
	struct ml_snapshot chosen = {0};
	struct ml_report_input input = {.sort = replay->has_sort ? replay->sort : moment->sort};

	ml_selection_copy_sites(moment->snapshot, &chosen);
	ml_array_each (block, &moment->snapshot->blocks)
		*ml_array_push(&chosen.blocks) = *block;
	ml_selection_apply(&selection, &chosen);
	if (replay->has_top) {
		report.top = replay->top;
		report.is_limited = true;
	}
	add_notes(way, &selection, &report);
	ml_recording_input(way->recording, &chosen, &input);
	input.symbolize_limit = replay->names_top_only ? report.top : 0;
	ml_report_build(&input, &report);
	ml_snapshot_deinit(&chosen);
	*out = report;
}

struct ml_error *ml_replay_report(struct ml_recording *recording, const struct ml_replay *replay,
				  struct ml_report *out)
{
	struct way way = {.recording = recording, .replay = replay};
	struct ml_error *error = walk(&way);

	if (!error)
		error = check(&way);
	if (!error)
		build(&way, out);
	ml_snapshot_deinit(&way.since);
	return error;
}

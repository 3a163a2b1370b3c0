/* SPDX-License-Identifier: BSD-2-Clause */
/** What was recorded replays into the reports the run made, and a cut recording into those so far.
 */
#include "run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* The report of @replay of a recording; *@out is to be closed after it. */
static struct ml_error *replay(const void *bytes, size_t size, const struct ml_replay *wanted,
			       struct ml_recording **out, struct ml_report *report)
{
	struct ml_error *error = run_open(bytes, size, ML_RECORD_BUDGET, out);

	if (error)
		return error;
	error = ml_replay_report(*out, wanted, report);
	if (error)
		ml_recording_close(*out);
	return error;
}

static void assert_replays(const struct run *run, unsigned int moment)
{
	struct ml_replay wanted = {.to = {.kind = ML_POINT_ELAPSED, .elapsed_s = 1.0 + moment}};
	struct ml_recording *recording;
	struct ml_report report;

	assert_null(replay(run->bytes.text, run->bytes.length, &wanted, &recording, &report));

	char *text = run_render(&ml_report_text, &report);
	char *json = run_render(&ml_report_json, &report);

	assert_string_equal(text, run->texts[moment]);
	assert_string_equal(json, run->jsons[moment]);
	assert_int_equal(report.points.count, moment + 1);
	assert_int_equal(report.resident.count, moment);
	free(text);
	free(json);
	ml_report_deinit(&report);
	ml_recording_close(recording);
}

static void every_moment(void **state)
{
	for (unsigned int way = 0; way < 4; way++) {
		struct run run;

		run_make(&run, way & 1, way & 2);
		for (unsigned int i = 0; i < RUN_MOMENTS; i++)
			assert_replays(&run, i);
		run_free(&run);
	}
}

/* The moments that the first @size bytes hold. */
static unsigned int moments_in(const struct run *run, size_t size)
{
	unsigned int count = 0;

	while (count < RUN_MOMENTS && run->ends[count] <= size)
		count++;
	return count;
}

/* Cut at every byte: the last whole moment, and a word on the end. */
static void cut_anywhere(void **state)
{
	struct run run;

	run_make(&run, false, true);
	for (size_t size = 0; size < run.bytes.length; size++) {
		unsigned int moments = moments_in(&run, size);
		struct ml_recording *recording;
		struct ml_report report;
		struct ml_error *error =
			replay(run.bytes.text, size, &(struct ml_replay){0}, &recording, &report);

		assert_int_equal(error != NULL, moments == 0);
		if (error) {
			assert_int_equal(ml_error_kind(error), ML_ERROR_FORMAT);
			ml_error_free(error);
			continue;
		}
		assert_true(report.elapsed_s == moments);
		assert_non_null(strstr(report.notes.items[report.notes.count - 1],
				       "the recording ends early: "));
		ml_report_deinit(&report);
		ml_recording_close(recording);
	}
	run_free(&run);
}

/* One wrong bit anywhere is seen: what comes before it is right, what comes after is not read. */
static void damaged_anywhere(void **state)
{
	struct run run;

	run_make(&run, false, false);
	for (size_t at = 0; at < run.bytes.length; at++) {
		unsigned int moments = moments_in(&run, at);
		struct ml_recording *recording;
		struct ml_report report;

		run.bytes.text[at] ^= 0x10;
		struct ml_error *error = replay(run.bytes.text, run.bytes.length,
						&(struct ml_replay){0}, &recording, &report);

		run.bytes.text[at] ^= 0x10;
		assert_int_equal(error != NULL, moments == 0);
		if (error) {
			ml_error_free(error);
			continue;
		}
		assert_true(report.elapsed_s == moments);
		assert_int_equal(report.notes.count > 0, true);
		ml_report_deinit(&report);
		ml_recording_close(recording);
	}
	run_free(&run);
}

/* The sum of what is shown. */
static uint64_t bytes_of(const struct run *run, const struct ml_replay *wanted)
{
	struct ml_recording *recording;
	struct ml_report report;

	assert_null(replay(run->bytes.text, run->bytes.length, wanted, &recording, &report));

	uint64_t bytes = report.outstanding_bytes;

	ml_report_deinit(&report);
	ml_recording_close(recording);
	return bytes;
}

static void since_a_mark(void **state)
{
	struct ml_replay all = {0};
	struct ml_replay then = {.to = {.kind = ML_POINT_MARK, .mark = 1}};
	struct ml_replay since = {.has_from = true, .from = {.kind = ML_POINT_LAST_MARK}};
	struct run run;

	run_make(&run, false, false);
	/* All sites but 3 and 5 only grow, and 5 has grown from 1 block to 2. */
	assert_int_equal(bytes_of(&run, &since), bytes_of(&run, &all) - bytes_of(&run, &then));
	run_free(&run);

	/* With single blocks: those born after it, 2.5 s of two a second. */
	run_make(&run, false, true);
	all.wants_blocks = since.wants_blocks = true;
	assert_true(bytes_of(&run, &since) < bytes_of(&run, &all));
	run_free(&run);
}

static void assert_refused(const struct run *run, const struct ml_replay *wanted, const char *why)
{
	struct ml_recording *recording;
	struct ml_report report;
	struct ml_error *error =
		replay(run->bytes.text, run->bytes.length, wanted, &recording, &report);

	assert_non_null(error);
	assert_int_equal(ml_error_kind(error), ML_ERROR_USAGE);
	if (!strstr(ml_error_message(error), why))
		fail_msg("'%s' does not say '%s'", ml_error_message(error), why);
	ml_error_free(error);
}

static void what_is_not_there(void **state)
{
	struct run run;

	run_make(&run, false, false);
	assert_refused(&run, &(struct ml_replay){.to = {.kind = ML_POINT_MARK, .mark = 2}},
		       "the last one is number 1");
	assert_refused(
		&run,
		&(struct ml_replay){.has_from = true, .from = {.kind = ML_POINT_MARK, .mark = 9}},
		"the last one is number 1");
	assert_refused(&run,
		       &(struct ml_replay){.to = {.kind = ML_POINT_ELAPSED, .elapsed_s = 0.5}},
		       "no report that early");
	assert_refused(
		&run,
		&(struct ml_replay){.to = {.kind = ML_POINT_TIME, .time_s = 1e9, .width_s = 1}},
		"no report that early");
	assert_refused(&run, &(struct ml_replay){.wants_blocks = true}, "--show-allocs");
	run_free(&run);
}

/* 03:00:41 UTC is 04:00:41 on the clock of the run. */
static void by_the_clock(void **state)
{
	struct ml_replay wanted = {.names_top_only = true};
	struct ml_recording *recording;
	struct ml_report report;
	struct run run;

	run_make(&run, false, false);
	assert_null(ml_point_parse("04:00:44", &wanted.to));
	assert_null(replay(run.bytes.text, run.bytes.length, &wanted, &recording, &report));
	assert_true(report.elapsed_s == 4.0);
	ml_report_deinit(&report);
	ml_recording_close(recording);
	run_free(&run);
}

static void own_order_and_number(void **state)
{
	struct ml_replay wanted = {
		.has_top = true, .top = 2, .has_sort = true, .sort = ML_SORT_COUNT};
	struct ml_recording *recording;
	struct ml_report report;
	struct run run;

	run_make(&run, false, false);
	assert_null(replay(run.bytes.text, run.bytes.length, &wanted, &recording, &report));
	assert_int_equal(ml_report_listed(&report), 2);
	assert_true(report.sites.items[0].count >= report.sites.items[1].count);
	ml_report_deinit(&report);
	ml_recording_close(recording);
	run_free(&run);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_moment),         cmocka_unit_test(cut_anywhere),
		cmocka_unit_test(damaged_anywhere),     cmocka_unit_test(since_a_mark),
		cmocka_unit_test(what_is_not_there),    cmocka_unit_test(by_the_clock),
		cmocka_unit_test(own_order_and_number),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/report_command.h"

#include "base/clock.h"
#include "cli/baseline.h"
#include "cli/replay_file.h"
#include "cli/report_writer.h"

static struct ml_replay replay_of(const struct ml_options *options)
{
	struct ml_replay replay = {
		.to = options->to,
		.has_from = ml_options_has(options, ML_OPTION_FROM),
		.from = options->from,
		.has_top = ml_options_has(options, ML_OPTION_TOP),
		.top = options->top,
		.has_sort = ml_options_has(options, ML_OPTION_SORT),
		.sort = options->sort,
		.min_size = options->min_size,
		.max_size = options->max_size,
		.wants_blocks = options->show_allocs,
	};

	if (ml_options_has(options, ML_OPTION_OLDER))
		replay.older_ns = options->older_ms * ML_NS_PER_MS;
	if (ml_options_has(options, ML_OPTION_SINCE_MARK)) {
		replay.has_from = true;
		replay.from.kind = options->since_mark ? ML_POINT_MARK : ML_POINT_LAST_MARK;
		replay.from.mark = options->since_mark;
	}
	return replay;
}

/* Everything that is open while the report is made. */
struct replaying {
	struct ml_recording *recording;
	struct ml_suppressions suppressions;
	struct ml_baseline baseline;
	struct ml_output output;
	struct ml_report report;
};

static struct ml_error *write_report(const struct ml_options *options, struct replaying *replaying,
				     int *status)
{
	struct ml_report_writer writer = {
		.options = options,
		.suppressions = options->suppressions ? &replaying->suppressions : NULL,
		.baseline = options->baseline ? &replaying->baseline : NULL,
		.output = &replaying->output,
	};
	struct ml_replay replay = replay_of(options);
	struct ml_error *error;

	replay.names_top_only = !ml_report_writer_needs_names(&writer);
	error = ml_replay_file(options->files[0], &replay, &replaying->recording,
			       &replaying->report);
	if (!error)
		error = ml_output_open(options->output, &replaying->output);
	if (!error)
		error = ml_report_writer_write(&writer, &replaying->report);
	if (!error)
		error = ml_output_close(&replaying->output);
	if (!error)
		*status = ml_leak_summary_exit(&writer.summary, options);
	return error;
}

struct ml_error *ml_report_command(const struct ml_options *options, int *status)
{
	struct replaying replaying = {.output = {.fd = -1}};
	struct ml_error *error = NULL;

	if (options->suppressions)
		error = ml_suppressions_read(options->suppressions, &replaying.suppressions);
	if (!error && options->baseline)
		error = ml_baseline_read(options->baseline, &replaying.baseline);
	if (!error)
		error = write_report(options, &replaying, status);
	ml_error_free(ml_output_close(&replaying.output));
	ml_report_deinit(&replaying.report);
	ml_recording_close(replaying.recording);
	ml_baseline_deinit(&replaying.baseline);
	ml_suppressions_deinit(&replaying.suppressions);
	return error;
}

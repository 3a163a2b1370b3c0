/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/diff_command.h"

#include "cli/output.h"
#include "cli/replay_file.h"
#include "cli/report_writer.h"
#include "report/diff.h"
#include "report/owner.h"

#include <errno.h>

/* One of the two reports, with what it borrows from. */
struct side {
	struct ml_recording *recording;
	struct ml_report report;
};

static void close_side(struct side *side)
{
	ml_report_deinit(&side->report);
	ml_recording_close(side->recording);
}

/* Where the earlier report of two of the same recording is made: at the last mark, else at the
 * beginning, when nothing is said. */
static struct ml_error *find_from(const struct ml_options *options, struct ml_point *from)
{
	uint64_t mark = 0;
	struct ml_error *error = NULL;

	*from = options->from;
	if (ml_options_has(options, ML_OPTION_FROM) && from->kind != ML_POINT_LAST_MARK)
		return NULL;
	error = ml_replay_file_last_mark(options->files[0], &mark);
	if (!error && !mark && from->kind == ML_POINT_LAST_MARK)
		error = ml_error_new(ML_ERROR_USAGE, "--from: there is no mark in %s",
				     options->files[0]);
	*from = (struct ml_point){.kind = mark ? ML_POINT_MARK : ML_POINT_START, .mark = mark};
	return error;
}

static struct ml_error *read_sides(const struct ml_options *options, struct side *before,
				   struct side *after)
{
	const char *const *files = options->files;
	struct ml_replay earlier = {.to = options->to}, later = {.to = options->to};
	struct ml_error *error = NULL;

	if (!files[1])
		error = find_from(options, &earlier.to);
	if (!error)
		error = ml_replay_file(files[0], &earlier, &before->recording, &before->report);
	if (!error)
		error = ml_replay_file(files[files[1] ? 1 : 0], &later, &after->recording,
				       &after->report);
	return error;
}

static struct ml_error *write_diff(const struct ml_options *options, const struct ml_diff *diff)
{
	size_t top = options->format == &ml_report_text || ml_options_has(options, ML_OPTION_TOP)
			     ? options->top
			     : SIZE_MAX;
	struct ml_output output = {.fd = -1};
	struct ml_error *error = ml_output_open(options->output, &output);
	char *text = NULL;
	size_t length = 0;
	FILE *memory;

	if (error)
		return error;
	memory = open_memstream(&text, &length);
	if (!memory)
		return ml_error_errno(errno, "cannot write the differences");
	if (options->format == &ml_report_json)
		ml_diff_write_json(memory, diff, top);
	else
		ml_diff_write_text(memory, diff, top);
	error = fclose(memory) ? ml_error_errno(errno, "cannot write the differences")
			       : ml_output_write(&output, text, length);
	free(text);
	if (error)
		ml_error_free(ml_output_close(&output));
	else
		error = ml_output_close(&output);
	return error;
}

static struct ml_error *leave_out(const struct ml_options *options, struct ml_report *before,
				  struct ml_report *after)
{
	struct ml_suppressions suppressions;
	struct ml_error *error = ml_suppressions_read(options->suppressions, &suppressions);

	if (error)
		return error;
	ml_suppressions_apply(&suppressions, before);
	ml_suppressions_apply(&suppressions, after);
	ml_suppressions_deinit(&suppressions);
	return NULL;
}

/* What has more than before counts, as ml_diff_is_leak() says. */
static struct ml_leak_summary sum_up(const struct ml_diff *diff)
{
	struct ml_leak_summary summary = {
		.sites = diff->after->sites.count,
		.bytes = diff->after->outstanding_bytes,
		.blocks = diff->after->outstanding_count,
	};

	ml_array_each (site, &diff->sites) {
		if (!ml_diff_is_leak(diff, site))
			continue;
		summary.leaks++;
		summary.leaked_bytes += site->after.bytes - site->before.bytes;
		if (site->after.count > site->before.count)
			summary.leaked_blocks += site->after.count - site->before.count;
	}
	return summary;
}

struct ml_error *ml_diff_command(const struct ml_options *options, int *status)
{
	struct side before = {0}, after = {0};
	struct ml_error *error = read_sides(options, &before, &after);
	struct ml_diff diff = {0};

	if (!error && options->suppressions)
		error = leave_out(options, &before.report, &after.report);
	if (!error) {
		ml_owners_find(&after.report, options->wrappers.items);
		ml_diff_build(&before.report, &after.report, &diff);
		error = write_diff(options, &diff);
	}
	if (!error) {
		struct ml_leak_summary summary = sum_up(&diff);

		*status = ml_leak_summary_exit(&summary, options);
	}
	ml_diff_deinit(&diff);
	close_side(&before);
	close_side(&after);
	return error;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/report_writer.h"

#include "cli/note.h"
#include "cli/trace_command.h"
#include "report/owner.h"
#include "report/summary.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

bool ml_report_writer_needs_names(const struct ml_report_writer *writer)
{
	return writer->options->format != &ml_report_text || writer->suppressions ||
	       writer->baseline;
}

/* A remark on the report; formats that people do not read have it on standard error as well. */
static void tell_left_out(const struct ml_report_writer *writer, struct ml_report *report,
			  const char *by, struct ml_report_others gone)
{
	if (!gone.sites)
		return;
	ml_report_note(report,
		       "left out by the %s: %" PRIu64 " bytes in %" PRIu64 " blocks, %" PRIu64
		       " stack%s",
		       by, gone.bytes, gone.count, gone.sites, gone.sites == 1 ? "" : "s");
	if (writer->options->format != &ml_report_text)
		ml_note("%s", report->notes.items[report->notes.count - 1]);
}

void ml_report_writer_choose(const struct ml_report_writer *writer, struct ml_report *report)
{
	if (writer->suppressions)
		tell_left_out(writer, report, "suppressions",
			      ml_suppressions_apply(writer->suppressions, report));
	if (writer->baseline)
		tell_left_out(writer, report, "baseline",
			      ml_baseline_apply(writer->baseline, report));
	ml_owners_find(report, writer->options->wrappers.items);
	ml_summary_make(report);
}

static struct ml_leak_summary sum_up(const struct ml_report *report)
{
	struct ml_leak_summary summary = {
		.sites = report->sites.count,
		.bytes = report->outstanding_bytes,
		.blocks = report->outstanding_count,
	};

	ml_array_each (site, &report->sites) {
		if (site->verdict.class != ML_VERDICT_LEAK)
			continue;
		summary.leaks++;
		summary.leaked_bytes += site->lost_count ? site->lost_bytes : site->bytes;
		summary.leaked_blocks += site->lost_count ? site->lost_count : site->count;
	}
	return summary;
}

static struct ml_error *render(const struct ml_report_writer *writer,
			       const struct ml_report *report)
{
	char *text = NULL;
	size_t length = 0;
	FILE *memory = open_memstream(&text, &length);

	if (!memory)
		return ml_error_errno(errno, "cannot write a report");
	writer->options->format->write(memory, report);
	bool is_whole = !ferror(memory);

	is_whole = !fclose(memory) && is_whole;
	struct ml_error *error =
		is_whole ? ml_output_write(writer->output, text, length)
			 : ml_error_new(ML_ERROR_SYSTEM, "cannot write a report: out of memory");

	free(text);
	return error;
}

struct ml_error *ml_report_writer_write(struct ml_report_writer *writer, struct ml_report *report)
{
	const struct ml_options *options = writer->options;
	struct ml_error *error;

	ml_report_writer_choose(writer, report);
	writer->summary = sum_up(report);
	report->use_colour = options->format == &ml_report_text &&
			     ml_output_uses_colour(writer->output, options->color);
	error = render(writer, report);
	writer->has_written = writer->has_written || !error;
	return error;
}

int ml_leak_summary_exit(const struct ml_leak_summary *summary, const struct ml_options *options)
{
	if (!options->fail_on_leak)
		return ML_EXIT_DONE;
	fprintf(stderr,
		"# memleak: verdict=%s leaks=%" PRIu64 " leaked_bytes=%" PRIu64
		" leaked_blocks=%" PRIu64 " sites=%" PRIu64 " outstanding_bytes=%" PRIu64
		" outstanding_blocks=%" PRIu64 "\n",
		summary->leaks ? "leak" : "ok", summary->leaks, summary->leaked_bytes,
		summary->leaked_blocks, summary->sites, summary->bytes, summary->blocks);
	return summary->leaks ? ML_EXIT_LEAK : ML_EXIT_DONE;
}

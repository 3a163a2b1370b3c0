/* SPDX-License-Identifier: BSD-2-Clause */
/** One JSON document, schema "memleak/1", kind "diff". docs/FORMAT.md describes it. */
#include "report/diff.h"

#include "report/json.h"

static void write_report(struct ml_json *json, const char *key, const struct ml_report *report)
{
	ml_json_object_begin(json, key);
	ml_report_json_time(json, report);
	ml_report_json_target(json, report);
	ml_json_double(json, "elapsed_s", report->elapsed_s);
	ml_json_u64(json, "outstanding_bytes", report->outstanding_bytes);
	ml_json_u64(json, "outstanding_count", report->outstanding_count);
	ml_report_json_notes(json, report);
	ml_json_object_end(json);
}

static void write_side(struct ml_json *json, const char *key, const struct ml_diff_side *side)
{
	ml_json_object_begin(json, key);
	ml_json_u64(json, "bytes", side->bytes);
	ml_json_u64(json, "count", side->count);
	ml_json_object_end(json);
}

static void write_growth(struct ml_json *json, uint64_t bytes_before, uint64_t bytes,
			 uint64_t count_before, uint64_t count)
{
	ml_json_i64(json, "growth_bytes", ml_diff_growth(bytes_before, bytes));
	ml_json_i64(json, "growth_count", ml_diff_growth(count_before, count));
}

static void write_site(struct ml_json *json, const struct ml_diff_site *site,
		       struct ml_json_frames *frames)
{
	const struct ml_report_site *after = site->after.site;

	ml_json_object_begin(json, NULL);
	ml_json_string(json, "change", ml_change_name(site->change));
	write_growth(json, site->before.bytes, site->after.bytes, site->before.count,
		     site->after.count);
	write_side(json, "before", &site->before);
	write_side(json, "after", &site->after);
	if (after) {
		ml_report_json_verdict(json, &after->verdict);
	} else {
		ml_json_null(json, "growth_bytes_per_s");
		ml_json_null(json, "verdict");
		ml_json_null(json, "confidence");
		ml_json_null(json, "why");
	}
	ml_report_json_frames(json, after ? after : site->before.site, frames);
	ml_json_object_end(json);
}

void ml_diff_write_json(FILE *out, const struct ml_diff *diff, size_t top)
{
	struct ml_json json = {.out = out};
	struct ml_json_frames frames = {0};
	const struct ml_report *before = diff->before, *after = diff->after;

	ml_json_object_begin(&json, NULL);
	ml_report_json_begin(&json, "diff");
	write_report(&json, "before", before);
	write_report(&json, "after", after);
	ml_json_object_begin(&json, "totals");
	write_growth(&json, before->outstanding_bytes, after->outstanding_bytes,
		     before->outstanding_count, after->outstanding_count);
	for (unsigned int i = 0; i < ML_CHANGE_COUNT; i++)
		ml_json_u64(&json, ml_change_name(i), diff->counts[i]);
	ml_json_object_end(&json);
	ml_json_array_begin(&json, "sites");
	for (size_t i = 0; i < diff->sites.count && i < top; i++)
		write_site(&json, &diff->sites.items[i], &frames);
	ml_json_array_end(&json);
	ml_json_object_end(&json);
	ml_json_frames_free(&frames);
	putc('\n', out);
}

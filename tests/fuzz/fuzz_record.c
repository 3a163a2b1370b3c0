/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * A recording; or, when the first byte is not that of one, the contents of its batches, so that
 * checksums do not stand between the input and what reads it.
 */
#include "fuzz.h"

#include "record/batch.h"
#include "record/format.h"
#include "record/replay.h"
#include "report/diff.h"

#include <unistd.h>

/* What a reader may take here: far less than libFuzzer's own limits. */
static const struct ml_record_budget budget = {.memory_bytes = 64 << 20, .work = 2000000};

static int make_file(const uint8_t *data, size_t size)
{
	struct ml_strbuf bytes = {0}, content = {0};
	int fd;

	if (!size || *data == ML_RECORD_MAGIC[0])
		return fuzz_file(data, size);
	ml_batch_write_header(&bytes);
	ml_strbuf_add(&content, (const char *)data + 1, size - 1);
	ml_batch_write(&content, &bytes);
	fd = fuzz_file((const uint8_t *)bytes.text, bytes.length);
	ml_strbuf_free(&content);
	ml_strbuf_free(&bytes);
	return fd;
}

/* The report of one moment; NULL when there is none. */
static struct ml_recording *open_report(const uint8_t *data, size_t size,
					const struct ml_replay *replay, struct ml_report *report)
{
	struct ml_recording *recording;
	struct ml_error *error =
		ml_recording_open(make_file(data, size), "run.ml", budget, &recording);

	if (!error) {
		error = ml_replay_report(recording, replay, report);
		if (error)
			ml_recording_close(recording);
	}
	if (error) {
		FUZZ_CHECK(*ml_error_message(error));
		ml_error_free(error);
		return NULL;
	}
	return recording;
}

static void write_all(FILE *out, const struct ml_report *report)
{
	static const struct ml_report_format *const formats[] = {
		&ml_report_text, &ml_report_json, &ml_report_folded,    &ml_report_pprof,
		&ml_report_svg,  &ml_report_html, &ml_report_heaptrack,
	};
	uint64_t sum = 0;

	ml_array_each (site, &report->sites)
		sum += site->bytes;
	FUZZ_CHECK(sum == report->outstanding_bytes);
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
		formats[i]->write(out, report);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct ml_replay first = {.to = {.kind = ML_POINT_START}};
	const struct ml_replay since = {.has_from = true, .from = {.kind = ML_POINT_START}};
	struct ml_report before = {0}, after = {0};
	struct ml_recording *earlier = open_report(data, size, &first, &before);
	struct ml_recording *later = open_report(data, size, &since, &after);
	FILE *out = fopen("/dev/null", "w");

	if (out && later)
		write_all(out, &after);
	if (out && earlier && later) {
		struct ml_diff diff;

		ml_diff_build(&before, &after, &diff);
		ml_diff_write_text(out, &diff, 10);
		ml_diff_write_json(out, &diff, SIZE_MAX);
		ml_diff_deinit(&diff);
	}
	if (out)
		fclose(out);
	ml_report_deinit(&before);
	ml_report_deinit(&after);
	ml_recording_close(earlier);
	ml_recording_close(later);
	return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/** A file of suppressions, NUL, and the name of a function of the target to match with it. */
#include "fuzz.h"

#include "base/array.h"
#include "cli/suppressions.h"

/* A report of one site with one frame called @p name. */
static void make_report(const char *name, struct ml_report *report)
{
	struct ml_report_site site = {.bytes = 100, .count = 1};

	*ml_array_push(&site.frames) = (struct ml_report_frame){.symbol = name, .module = "a.out"};
	*ml_array_push(&report->sites) = site;
	report->outstanding_bytes = 100;
	report->outstanding_count = 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);
	size_t length = strlen(text);
	const char *name = length < size ? text + length + 1 : "malloc";
	struct ml_suppressions suppressions = {0};
	struct ml_report_others gone = {0};
	struct ml_error *error = ml_suppressions_parse(text, "file", &suppressions);

	if (error) {
		FUZZ_CHECK(ml_error_kind(error) == ML_ERROR_USAGE);
	} else {
		struct ml_report report = {0};

		make_report(name, &report);
		gone = ml_suppressions_apply(&suppressions, &report);
		FUZZ_CHECK(gone.sites + report.sites.count == 1);
		FUZZ_CHECK(gone.bytes + report.outstanding_bytes == 100);
		ml_array_each (site, &report.sites)
			ml_array_free(&site->frames);
		ml_array_free(&report.sites);
	}
	ml_suppressions_deinit(&suppressions);
	ml_error_free(error);
	free(text);
	return 0;
}

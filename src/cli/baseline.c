/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/baseline.h"

#include "cli/replay_file.h"
#include "report/match.h"

struct ml_error *ml_baseline_read(const char *path, struct ml_baseline *out)
{
	struct ml_baseline baseline = {0};
	struct ml_error *error =
		ml_replay_file(path, &(struct ml_replay){0}, &baseline.recording, &baseline.report);

	if (error)
		return ml_error_wrap(error, "--baseline");
	*out = baseline;
	return NULL;
}

void ml_baseline_deinit(struct ml_baseline *baseline)
{
	ml_report_deinit(&baseline->report);
	ml_recording_close(baseline->recording);
}

/* What is asked of every site. */
struct question {
	const struct ml_match *match;
	const struct ml_intern *known; /* keys of the baseline's sites */
	struct ml_strbuf *key;
};

static bool is_known(const void *context, const struct ml_report_site *site)
{
	const struct question *question = context;

	ml_match_key(question->match, site, question->key);
	return ml_intern_has(question->known, ml_strbuf_text(question->key), question->key->length);
}

struct ml_report_others ml_baseline_apply(const struct ml_baseline *baseline,
					  struct ml_report *report)
{
	ML_INTERN_CLEANUP struct ml_intern known = {0};
	ML_STRBUF_CLEANUP struct ml_strbuf key = {0};
	struct ml_match match;
	struct question question = {&match, &known, &key};
	struct ml_report_others gone;

	ml_match_init(&match, &baseline->report, report);
	ml_array_each (site, &baseline->report.sites) {
		ml_match_key(&match, site, &key);
		ml_intern_bytes(&known, ml_strbuf_text(&key), key.length, NULL);
	}
	gone = ml_report_leave_out(report, is_known, &question);
	ml_match_deinit(&match);
	return gone;
}

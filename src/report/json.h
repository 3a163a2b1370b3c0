/* SPDX-License-Identifier: BSD-2-Clause */
/** Parts of the JSON report that other documents have as well. */
#ifndef ML_REPORT_JSON_H
#define ML_REPORT_JSON_H

#include "base/json.h"
#include "report/json_frames.h"
#include "report/report.h"

/** Writes `schema` and `kind`, the first members of a document. */
void ml_report_json_begin(struct ml_json *json, const char *kind);
/** Writes the member `time`. */
void ml_report_json_time(struct ml_json *json, const struct ml_report *report);
/** Writes the member `target`. */
void ml_report_json_target(struct ml_json *json, const struct ml_report *report);
/** Writes `verdict`, `confidence` and `why` of a site, with its growth. */
void ml_report_json_verdict(struct ml_json *json, const struct ml_verdict *verdict);
/** Writes the member `frames`; @p frames knows those of the sites before in the document. */
void ml_report_json_frames(struct ml_json *json, const struct ml_report_site *site,
			   struct ml_json_frames *frames);
/** Writes the member `notes`, when there are any. */
void ml_report_json_notes(struct ml_json *json, const struct ml_report *report);

#endif

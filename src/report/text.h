/* SPDX-License-Identifier: BSD-2-Clause */
/** Parts of the text report that other texts for people have as well. */
#ifndef ML_REPORT_TEXT_H
#define ML_REPORT_TEXT_H

#include "base/strbuf.h"
#include "report/report.h"

/** Adds the lines of @p site's frames. */
void ml_text_add_frames(struct ml_strbuf *text, const struct ml_report_site *site);

/** Adds the remarks below them: how the stack ends, whose it is, the verdict. */
void ml_text_add_remarks(struct ml_strbuf *text, const struct ml_report *report,
			 const struct ml_report_site *site);

/** "1 block", "2 blocks" */
void ml_text_add_number(struct ml_strbuf *text, uint64_t number, const char *noun);

#endif

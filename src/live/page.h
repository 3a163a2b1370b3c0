/* SPDX-License-Identifier: BSD-2-Clause */
/** Pages of text in the live view: one site with its stack, and the help. */
#ifndef ML_LIVE_PAGE_H
#define ML_LIVE_PAGE_H

#include "base/array.h"
#include "base/strbuf.h"
#include "live/canvas.h"
#include "report/report.h"

#include <stdbool.h>
#include <stddef.h>

struct ml_page_line {
	enum ml_style style;
	char *text; /**< owned */
};

/** All-zero is empty. */
struct ml_page {
	ML_ARRAY(struct ml_page_line) lines;
};

/** What a verdict is shown in. */
enum ml_style ml_page_verdict_style(enum ml_verdict_class class);

/** All there is to say about @p site; NULL gives one line that says it is gone. */
void ml_page_site(struct ml_page *page, const struct ml_report *report,
		  const struct ml_report_site *site, const struct ml_canvas *canvas);

/** Keys, how to read the columns, and the caveats of @p report. */
void ml_page_help(struct ml_page *page, const struct ml_report *report,
		  const struct ml_canvas *canvas);

void ml_page_deinit(struct ml_page *page);

/** Adds "fibonacci app.c:9 [app]"; @p full: the whole name and the offset. */
void ml_page_frame(struct ml_strbuf *text, const struct ml_report_frame *frame, bool full);

/** Adds the sparkline of @p points over the time of @p report. */
void ml_page_trend(struct ml_strbuf *text, const struct ml_timeline_point *points, size_t count,
		   const struct ml_report *report, unsigned int columns, bool is_wide);

/** Adds "2 leak, 1 cache": how many sites got which verdict. */
void ml_page_verdicts(struct ml_strbuf *text, const struct ml_report *report);

#endif

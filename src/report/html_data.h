/* SPDX-License-Identifier: BSD-2-Clause */
/** The sites of a report as data for the scripts of the HTML page. */
#ifndef ML_REPORT_HTML_DATA_H
#define ML_REPORT_HTML_DATA_H

#include "report/report.h"

/**
 * Writes one JSON object that can stand in a script element: no '<' in it. Texts and frames stand
 * once, in tables that sites point to. It belongs to the page's scripts (assets/data.js) and may
 * change with them; programs read --json.
 */
void ml_html_data_write(FILE *out, const struct ml_report *report);

#endif

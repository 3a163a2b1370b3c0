/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/report.h"

#include <string.h>

const struct ml_report_format *ml_report_format_named(const char *name)
{
	static const struct ml_report_format *const formats[] = {
		&ml_report_text,
		&ml_report_json,
		&ml_report_folded,
	};

	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
		if (!strcmp(formats[i]->name, name))
			return formats[i];
	return NULL;
}

size_t ml_report_listed(const struct ml_report *report)
{
	if (report->is_limited && report->top < report->sites.count)
		return report->top;
	return report->sites.count;
}

void ml_report_deinit(struct ml_report *report)
{
	ml_array_each (site, &report->sites) {
		ml_array_free(&site->frames);
		ml_array_free(&site->blocks);
	}
	ml_array_free(&report->sites);
	ml_array_each (string, &report->strings)
		free(*string);
	ml_array_free(&report->strings);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/** A flame graph as one SVG file that needs nothing else. */
#include "report/flame_drawing.h"

static void write_svg(FILE *out, const struct ml_report *report)
{
	fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n", out);
	ml_flame_drawing_document(out, report);
}

const struct ml_report_format ml_report_svg = {.name = "svg", .write = write_svg};

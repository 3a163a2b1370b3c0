/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * A flame graph as one SVG file that needs nothing else: the drawing is complete without its
 * script, which adds zooming and searching. Text of the target is XML text only, never markup or
 * script.
 */
#include "base/utf8.h"
#include "report/assets.h"
#include "report/flamegraph.h"

#include <inttypes.h>
#include <string.h>

#define WIDTH     1200
#define ROW       18
#define TOP       84
#define CHARACTER 6.65 /**< width of a character of the frames' font; the script has it, too */

static const char *const class_names[ML_VERDICT_CLASSES] = {
	"unknown", "leak", "growing", "cache", "steady", "startup",
};

static void put_text(FILE *out, const char *text)
{
	ML_STRBUF_CLEANUP struct ml_strbuf clean = {0};

	ml_utf8_clean(&clean, text);
	for (const char *p = ml_strbuf_text(&clean); *p; p++) {
		if (*p == '&')
			fputs("&amp;", out);
		else if (*p == '<')
			fputs("&lt;", out);
		else if (*p == '>')
			fputs("&gt;", out);
		else
			putc(*p, out);
	}
}

static void put_bytes(FILE *out, uint64_t bytes)
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double value = (double)bytes;
	int unit = -1;

	for (; value >= 1024 && unit < 5; unit++)
		value /= 1024;
	if (unit < 0)
		fprintf(out, "%" PRIu64 " bytes", bytes);
	else
		fprintf(out, "%.1f %s", value, units[unit]);
}

static const char *name_of(const struct ml_flamegraph *graph, const struct ml_flame *flame)
{
	return graph->names.entries.items[flame->name].bytes;
}

/** As much of @p name as fits into @p room characters. */
static void put_fitting(FILE *out, const char *name, size_t room)
{
	ML_STRBUF_CLEANUP struct ml_strbuf clean = {0};
	size_t length = 0, characters = 0;

	if (room < 3)
		return;
	ml_utf8_clean(&clean, name);

	char *text = (char *)ml_strbuf_text(&clean);

	while (text[length] && characters < room - 1) {
		length += ml_utf8_length(text + length);
		characters++;
	}
	if (length < clean.length) {
		ML_STRBUF_CLEANUP struct ml_strbuf cut = {0};

		ml_strbuf_add(&cut, text, length);
		ml_strbuf_puts(&cut, "\xe2\x80\xa6");
		put_text(out, ml_strbuf_text(&cut));
		return;
	}
	put_text(out, text);
}

static void put_flame(FILE *out, const struct ml_flamegraph *graph, const struct ml_flame *flame)
{
	double total = graph->flames.items[0].bytes ? (double)graph->flames.items[0].bytes : 1;
	double x = (double)flame->start_bytes / total, width = (double)flame->bytes / total;
	const char *class = class_names[ml_flame_class(flame)];
	unsigned int y = TOP + flame->depth * ROW;

	if (!flame->depth)
		width = 1;
	fprintf(out,
		"<g class=\"f%s\" tabindex=\"0\" data-x=\"%.9f\" data-w=\"%.9f\" data-d=\"%u\">"
		"<title>",
		flame->is_inlined ? " inlined" : "", x, width, flame->depth);
	put_text(out, name_of(graph, flame));
	fputs(flame->is_inlined ? " (inlined)\n" : "\n", out);
	put_bytes(out, flame->bytes);
	fprintf(out, " in %" PRIu64 " block%s\n%.1f %% of all, mostly %s</title>", flame->count,
		flame->count == 1 ? "" : "s", 100 * width, class);
	fprintf(out,
		"<rect class=\"%s\" x=\"%.3f\" y=\"%u\" width=\"%.3f\" height=\"%d\" rx=\"2\"/>"
		"<text x=\"%.3f\" y=\"%u\">",
		class, x * WIDTH, y, width * WIDTH, ROW - 1, x * WIDTH + 3, y + 13);
	put_fitting(out, name_of(graph, flame), (size_t)((width * WIDTH) / CHARACTER));
	fputs("</text></g>\n", out);
}

static void put_legend(FILE *out)
{
	unsigned int x = 0;

	for (unsigned int i = 0; i < ML_VERDICT_CLASSES; i++) {
		fprintf(out,
			"<rect class=\"%s\" x=\"%u\" y=\"58\" width=\"12\" height=\"12\" rx=\"3\"/>"
			"<text class=\"soft\" x=\"%u\" y=\"68\">%s</text>\n",
			class_names[i], x, x + 17, class_names[i]);
		x += 34 + (unsigned int)strlen(class_names[i]) * 7;
	}
}

static void put_heading(FILE *out, const struct ml_report *report, size_t left_out,
			uint64_t threshold)
{
	fputs("<text class=\"title\" x=\"0\" y=\"24\">Memory outstanding", out);
	if (report->is_kernel) {
		fputs(" in the kernel", out);
	} else {
		fputs(" in ", out);
		put_text(out, report->comm ? report->comm : "process");
		fprintf(out, " (%d)", (int)report->pid);
	}
	fputs("</text>\n<text class=\"soft\" x=\"0\" y=\"44\">", out);
	put_bytes(out, report->outstanding_bytes);
	fprintf(out, " in %" PRIu64 " blocks at %zu sites after %.1f s", report->outstanding_count,
		report->sites.count, report->elapsed_s);
	if (left_out) {
		fprintf(out, "; %zu frame%s narrower than ", left_out, left_out == 1 ? "" : "s");
		put_bytes(out, threshold);
		fputs(" left out", out);
	}
	fputs("</text>\n", out);
	put_legend(out);
	fputs("<text class=\"button reset\" x=\"1060\" y=\"24\" style=\"display:none\">Reset zoom"
	      "</text><text class=\"button search\" x=\"1150\" y=\"24\">Search</text>\n",
	      out);
}

static void write_svg(FILE *out, const struct ml_report *report)
{
	ML_FLAMEGRAPH_CLEANUP struct ml_flamegraph graph = {0};
	unsigned int depth = 0;
	size_t left_out;
	uint64_t threshold;

	ml_flamegraph_build(&graph, report);
	threshold = ml_flamegraph_threshold(&graph, &left_out);
	ml_array_each (flame, &graph.flames)
		if (flame->bytes >= threshold && flame->depth > depth)
			depth = flame->depth;
	fprintf(out,
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg class=\"flames\" "
		"xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"-16 0 %d %u\" width=\"100%%\" "
		"preserveAspectRatio=\"xMidYMin meet\">\n"
		"<style>%s</style>\n",
		WIDTH + 32, TOP + (depth + 1) * ROW + 34, ml_asset_flamegraph_css);
	put_heading(out, report, left_out, threshold);
	fputs("<g class=\"frames\">\n", out);
	ml_array_each (flame, &graph.flames)
		if (flame->bytes >= threshold || !flame->depth)
			put_flame(out, &graph, flame);
	fprintf(out,
		"</g>\n<text class=\"status soft\" x=\"0\" y=\"%u\"></text>\n"
		"<script><![CDATA[%s]]></script>\n</svg>\n",
		TOP + (depth + 1) * ROW + 20, ml_asset_flamegraph_js);
}

const struct ml_report_format ml_report_svg = {.name = "svg", .write = write_svg};

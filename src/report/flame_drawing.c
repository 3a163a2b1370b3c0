/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/flame_drawing.h"

#include "report/assets.h"
#include "report/flamegraph.h"
#include "report/markup.h"

#include <math.h>
#include <string.h>

#define WIDTH     1200
#define MARGIN    16
#define ROW       18
#define CHARACTER 6.65 /**< width of a character of the frames' font; the script has it, too */

/** Where the parts begin: in a document there is a heading first. */
#define HEADING_HEIGHT 58
#define LEGEND_HEIGHT  26
#define CONTROLS       34 /**< room for what the script makes */

/** Steps of the colour by growth, besides that for none. */
#define GROWTH_STEPS 4

struct drawing {
	FILE *out;
	const struct ml_report *report;
	struct ml_flamegraph graph;
	uint64_t threshold; /**< bytes of the narrowest flame drawn */
	size_t left_out;
	unsigned int rows;
	unsigned int top; /**< y of the first row */
};

static const char *name_of(const struct drawing *drawing, const struct ml_flame *flame)
{
	return drawing->graph.names.entries.items[flame->name].bytes;
}

/** 0 … GROWTH_STEPS; by the root, so that what grows less than 1/256 of all hardly shows. */
static int growth_step(const struct drawing *drawing, const struct ml_flame *flame)
{
	double all = drawing->graph.flames.items[0].growth_bytes_per_s;

	if (flame->growth_bytes_per_s <= 0 || all <= 0)
		return 0;
	return (int)fmax(ceil(GROWTH_STEPS * sqrt(flame->growth_bytes_per_s / all) - 1e-9), 1);
}

static void put_title(const struct drawing *drawing, const struct ml_flame *flame, double share)
{
	FILE *out = drawing->out;

	fputs("<title>", out);
	ml_markup_text(out, name_of(drawing, flame));
	fputs(flame->is_inlined ? " (inlined)\n" : "\n", out);
	ml_markup_bytes(out, (double)flame->bytes);
	fputs(" in ", out);
	ml_markup_count(out, flame->count, "block");
	if (flame->growth_bytes_per_s > 0) {
		fputs(", grows by ", out);
		ml_markup_bytes(out, flame->growth_bytes_per_s);
		fputs("/s", out);
	}
	fprintf(out, "\n%.1f %% of all, mostly %s</title>", 100 * share,
		ml_verdict_name(ml_flame_class(flame)));
}

static void put_flame(const struct drawing *drawing, const struct ml_flame *flame)
{
	FILE *out = drawing->out;
	uint64_t all = drawing->graph.flames.items[0].bytes;
	double total = all ? (double)all : 1;
	double x = (double)flame->start_bytes / total;
	double width = flame->depth ? (double)flame->bytes / total : 1;
	unsigned int y = drawing->top + flame->depth * ROW;
	size_t room =
		(size_t)((width * WIDTH - 6) / CHARACTER < 0 ? 0 : (width * WIDTH - 6) / CHARACTER);

	fprintf(out, "<g class=\"f %s g%d%s\" data-x=\"%.9f\" data-w=\"%.9f\" data-d=\"%u\">",
		ml_verdict_name(ml_flame_class(flame)), growth_step(drawing, flame),
		flame->is_inlined ? " inlined" : "", x, width, flame->depth);
	put_title(drawing, flame, width);
	fprintf(out,
		"<rect x=\"%.3f\" y=\"%u\" width=\"%.3f\" height=\"%d\" rx=\"2\"/>"
		"<text x=\"%.3f\" y=\"%u\">",
		x * WIDTH, y, width * WIDTH, ROW - 1, x * WIDTH + 3, y + 13);
	if (room >= 3)
		ml_markup_fitting(out, name_of(drawing, flame), room);
	fputs("</text></g>\n", out);
}

/** Puts one field of a legend at @p x; gives where the next one begins. */
static unsigned int put_key(FILE *out, unsigned int x, unsigned int y, const char *class,
			    const char *text)
{
	fprintf(out,
		"<g class=\"key %s\"><rect x=\"%u\" y=\"%u\" width=\"12\" height=\"12\" rx=\"3\"/>"
		"<text class=\"soft\" x=\"%u\" y=\"%u\">%s</text></g>\n",
		class, x, y, x + 17, y + 10, text);
	return x + 36 + (unsigned int)strlen(text) * 7;
}

static void put_legends(const struct drawing *drawing, unsigned int y)
{
	FILE *out = drawing->out;
	unsigned int x = 0;
	char class[8];

	fputs("<g class=\"by-verdict\">\n", out);
	for (unsigned int i = 0; i < ML_VERDICT_CLASSES; i++)
		x = put_key(out, x, y, ml_verdict_name((enum ml_verdict_class)i),
			    ml_verdict_name((enum ml_verdict_class)i));
	fputs("</g>\n<g class=\"by-growth\">\n", out);
	x = put_key(out, 0, y, "g0", "no growth");
	for (int i = 1; i <= GROWTH_STEPS; i++) {
		snprintf(class, sizeof(class), "g%d", i);
		x = put_key(out, x, y, class,
			    i == 1              ? "some"
			    : i == GROWTH_STEPS ? "all of it"
						: "");
	}
	fputs("</g>\n", out);
}

static void put_left_out(const struct drawing *drawing)
{
	FILE *out = drawing->out;

	if (!drawing->left_out)
		return;
	ml_markup_count(out, drawing->left_out, "frame");
	fputs(" narrower than ", out);
	ml_markup_bytes(out, (double)drawing->threshold);
	fputs(" left out", out);
}

static void put_heading(const struct drawing *drawing)
{
	const struct ml_report *report = drawing->report;
	FILE *out = drawing->out;

	fputs("<text class=\"title\" x=\"0\" y=\"24\">Memory outstanding in ", out);
	if (report->is_kernel) {
		fputs("the kernel", out);
	} else {
		ml_markup_text(out, report->comm ? report->comm : "process");
		fprintf(out, " (%d)", (int)report->pid);
	}
	fputs("</text>\n<text class=\"soft\" x=\"0\" y=\"44\">", out);
	ml_markup_bytes(out, (double)report->outstanding_bytes);
	fputs(" in ", out);
	ml_markup_count(out, report->outstanding_count, "block");
	fputs(" at ", out);
	ml_markup_count(out, report->sites.count, "site");
	fprintf(out, " after %.1f s", report->elapsed_s);
	if (drawing->left_out)
		fputs("; ", out);
	put_left_out(drawing);
	fputs("</text>\n", out);
}

static void prepare(struct drawing *drawing)
{
	ml_flamegraph_build(&drawing->graph, drawing->report);
	drawing->threshold = ml_flamegraph_threshold(&drawing->graph, &drawing->left_out);
	ml_array_each (flame, &drawing->graph.flames)
		if (flame->bytes >= drawing->threshold && flame->depth >= drawing->rows)
			drawing->rows = flame->depth + 1;
}

static void put_frames(const struct drawing *drawing)
{
	fputs("<g class=\"frames\">\n", drawing->out);
	ml_array_each (flame, &drawing->graph.flames)
		if (flame->bytes >= drawing->threshold || !flame->depth)
			put_flame(drawing, flame);
	fputs("</g>\n", drawing->out);
}

/** The <svg> tag; @p attributes are further ones. */
static void put_begin(const struct drawing *drawing, const char *attributes)
{
	fprintf(drawing->out,
		"<svg class=\"flames\" xmlns=\"http://www.w3.org/2000/svg\" "
		"viewBox=\"-%d 0 %d %u\" width=\"100%%\" "
		"role=\"group\" aria-label=\"Flame graph\" %s>\n",
		MARGIN, WIDTH + 2 * MARGIN, drawing->top + drawing->rows * ROW + MARGIN,
		attributes);
}

void ml_flame_drawing_document(FILE *out, const struct ml_report *report)
{
	struct drawing drawing = {.out = out, .report = report};

	prepare(&drawing);
	drawing.top = HEADING_HEIGHT + LEGEND_HEIGHT + CONTROLS;
	put_begin(&drawing, "preserveAspectRatio=\"xMidYMin meet\"");
	fprintf(out, "<style>%s</style>\n", ml_asset_flamegraph_css);
	put_heading(&drawing);
	put_legends(&drawing, HEADING_HEIGHT);
	fprintf(out,
		"<foreignObject x=\"0\" y=\"%d\" width=\"%d\" height=\"%d\">"
		"<div class=\"flame-controls\" xmlns=\"http://www.w3.org/1999/xhtml\"></div>"
		"</foreignObject>\n",
		HEADING_HEIGHT + LEGEND_HEIGHT - 4, WIDTH, CONTROLS);
	put_frames(&drawing);
	fprintf(out, "<script><![CDATA[%s]]></script>\n</svg>\n", ml_asset_flamegraph_js.text);
	ml_flamegraph_free(&drawing.graph);
}

void ml_flame_drawing_element(FILE *out, const struct ml_report *report)
{
	struct drawing drawing = {.out = out, .report = report};

	prepare(&drawing);
	drawing.top = LEGEND_HEIGHT;
	fputs("<div class=\"flame-controls\"></div>\n", out);
	put_begin(&drawing, "");
	put_legends(&drawing, 2);
	put_frames(&drawing);
	fputs("</svg>\n<p class=\"soft\">", out);
	put_left_out(&drawing);
	fputs("</p>\n", out);
	ml_flamegraph_free(&drawing.graph);
}

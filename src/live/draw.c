/* SPDX-License-Identifier: BSD-2-Clause */
#include "live/draw.h"

#include "base/human.h"
#include "live/fit.h"
#include "live/page.h"

#include <inttypes.h>
#include <stdio.h>

#define HEADER_LINES 4u

/* The columns of the list, with a blank between them; the last takes the rest. */
#define LIVE_WIDTH    10u
#define BLOCKS_WIDTH  8u
#define GROWTH_WIDTH  12u
#define VERDICT_WIDTH 11u
#define WIDE_COLUMNS  100u /* a terminal this wide has room for longer histories */

static unsigned int trend_width(const struct ml_canvas *canvas)
{
	return canvas->columns >= WIDE_COLUMNS ? 24 : 8;
}

/* A line from its first to its last column. */
static void put_line(struct ml_canvas *canvas, unsigned int line, enum ml_style style,
		     const char *text)
{
	ML_STRBUF_CLEANUP struct ml_strbuf fitted = {0};

	ml_fit(&fitted, text, canvas->columns, ML_FIT_LEFT);
	canvas->put(canvas, line, 0, style, false, fitted.text);
}

/* Where the next cell of a line goes. */
struct cells {
	struct ml_canvas *canvas;
	unsigned int line, column;
	bool is_selected;
};

static void put_cell(struct cells *cells, const char *text, unsigned int width, enum ml_fit fit,
		     enum ml_style style)
{
	ML_STRBUF_CLEANUP struct ml_strbuf fitted = {0};
	unsigned int left = cells->canvas->columns - cells->column;

	if (!left)
		return;
	if (width < left) {
		ml_fit(&fitted, text, width, fit);
		ml_strbuf_putc(&fitted, ' ');
		width++;
	} else {
		ml_fit(&fitted, text, left, fit);
		width = left;
	}
	cells->canvas->put(cells->canvas, cells->line, cells->column, style, cells->is_selected,
			   fitted.text);
	cells->column += width;
}

static void add_growth(struct ml_strbuf *text, double bytes_per_s)
{
	char human[ML_HUMAN_TEXT];

	if (bytes_per_s > -0.05 && bytes_per_s < 0.05)
		return;
	ml_strbuf_printf(text, "%s%s/s", bytes_per_s > 0 ? "+" : "",
			 ml_human_bytes(bytes_per_s, human));
}

static void add_where(struct ml_strbuf *text, const struct ml_view *view,
		      const struct ml_report_site *site)
{
	const struct ml_report_frame *frame = ml_view_frame(site);

	if (view->report->is_many_processes)
		ml_strbuf_printf(text, "%d %s: ", (int)site->pid, site->comm ? site->comm : "?");
	if (!frame)
		ml_strbuf_puts(text, "[stack lost]");
	else
		ml_page_frame(text, frame, false);
}

static void draw_site(struct ml_canvas *canvas, const struct ml_view *view, unsigned int line,
		      size_t row)
{
	const struct ml_report_site *site = &view->report->sites.items[view->rows.items[row]];
	const struct ml_verdict *verdict = &site->verdict;
	struct cells cells = {canvas, line, 0, row == view->cursor};
	ML_STRBUF_CLEANUP struct ml_strbuf growth = {0};
	ML_STRBUF_CLEANUP struct ml_strbuf trend = {0};
	ML_STRBUF_CLEANUP struct ml_strbuf where = {0};
	char bytes[ML_HUMAN_TEXT], count[24], judged[32];

	snprintf(count, sizeof(count), "%" PRIu64, site->count);
	snprintf(judged, sizeof(judged), verdict->class == ML_VERDICT_UNKNOWN ? "%s" : "%s %.0f%%",
		 ml_verdict_name(verdict->class), 100 * verdict->confidence);
	add_growth(&growth, verdict->growth_bytes_per_s);
	ml_page_trend(&trend, site->points.items, site->points.count, view->report,
		      trend_width(canvas), canvas->is_wide);
	add_where(&where, view, site);
	put_cell(&cells, ml_human_bytes((double)site->bytes, bytes), LIVE_WIDTH, ML_FIT_RIGHT,
		 ML_STYLE_PLAIN);
	put_cell(&cells, count, BLOCKS_WIDTH, ML_FIT_RIGHT, ML_STYLE_PLAIN);
	put_cell(&cells, ml_strbuf_text(&growth), GROWTH_WIDTH, ML_FIT_RIGHT, ML_STYLE_PLAIN);
	put_cell(&cells, judged, VERDICT_WIDTH, ML_FIT_LEFT, ml_page_verdict_style(verdict->class));
	put_cell(&cells, ml_strbuf_text(&trend), trend_width(canvas), ML_FIT_LEFT,
		 ml_page_verdict_style(verdict->class));
	put_cell(&cells, ml_strbuf_text(&where), canvas->columns, ML_FIT_LEFT, ML_STYLE_PLAIN);
}

static void draw_names(struct ml_canvas *canvas, unsigned int line)
{
	struct cells cells = {canvas, line, 0, false};

	put_cell(&cells, "LIVE", LIVE_WIDTH, ML_FIT_RIGHT, ML_STYLE_HEAD);
	put_cell(&cells, "BLOCKS", BLOCKS_WIDTH, ML_FIT_RIGHT, ML_STYLE_HEAD);
	put_cell(&cells, "GROWTH", GROWTH_WIDTH, ML_FIT_RIGHT, ML_STYLE_HEAD);
	put_cell(&cells, "VERDICT", VERDICT_WIDTH, ML_FIT_LEFT, ML_STYLE_HEAD);
	put_cell(&cells, "TREND", trend_width(canvas), ML_FIT_LEFT, ML_STYLE_HEAD);
	put_cell(&cells, "WHERE", canvas->columns, ML_FIT_LEFT, ML_STYLE_HEAD);
}

static void draw_sites(struct ml_canvas *canvas, struct ml_view *view)
{
	draw_names(canvas, HEADER_LINES - 1);
	ml_view_scroll_to_cursor(view);
	for (unsigned int i = 0; i < view->height && view->first + i < view->rows.count; i++)
		draw_site(canvas, view, HEADER_LINES + i, view->first + i);
	if (!view->rows.count)
		put_line(canvas, HEADER_LINES + 1, ML_STYLE_DIM,
			 view->filter[0] ? "  no site matches the filter (Esc clears it)"
					 : "  nothing outstanding yet");
}

static void draw_page(struct ml_canvas *canvas, struct ml_view *view)
{
	struct ml_page page = {0};
	unsigned int height = view->height + 1; /* no names of columns */

	if (view->page == ML_VIEW_HELP)
		ml_page_help(&page, view->report, canvas);
	else
		ml_page_site(&page, view->report, ml_view_selected(view), canvas);
	size_t last = page.lines.count > height ? page.lines.count - height : 0;

	if (view->scroll > last)
		view->scroll = last;
	for (unsigned int i = 0; i < height && view->scroll + i < page.lines.count; i++)
		put_line(canvas, HEADER_LINES - 1 + i, page.lines.items[view->scroll + i].style,
			 page.lines.items[view->scroll + i].text);
	ml_page_deinit(&page);
}

static void draw_title(struct ml_canvas *canvas, const struct ml_view *view)
{
	const struct ml_report *report = view->report;
	ML_STRBUF_CLEANUP struct ml_strbuf title = {0};
	char elapsed[ML_HUMAN_TEXT];
	size_t caveats = 0;

	for (size_t i = 0; i < ML_COUNTER_COUNT; i++)
		caveats += report->counters[i] != 0;
	ml_strbuf_puts(&title, " memleak  ");
	if (report->is_kernel)
		ml_strbuf_puts(&title, "kernel");
	else if (report->container && report->is_many_processes)
		ml_strbuf_printf(&title, "container %s", report->container);
	else
		ml_strbuf_printf(&title, "pid %d (%s)", (int)report->pid,
				 report->comm ? report->comm : "?");
	ml_strbuf_printf(&title, "  %s  %s", report->backend,
			 ml_human_duration((uint64_t)report->elapsed_s, elapsed));
	if (report->sampling != ML_SAMPLING_ALL)
		ml_strbuf_puts(&title, "  sampled");
	if (caveats)
		ml_strbuf_printf(&title, "  %zu caveat%s (?)", caveats, caveats == 1 ? "" : "s");
	if (view->is_paused)
		ml_strbuf_puts(&title, "  PAUSED");
	if (view->filter[0] && !view->is_typing)
		ml_strbuf_printf(&title, "  filter: %s", view->filter);
	put_line(canvas, 0, ML_STYLE_TITLE, title.text);
}

static void draw_totals(struct ml_canvas *canvas, const struct ml_report *report)
{
	ML_STRBUF_CLEANUP struct ml_strbuf line = {0};
	char human[ML_HUMAN_TEXT];

	ml_strbuf_printf(&line, " %s live in %" PRIu64 " block%s at %zu site%s  ",
			 ml_human_bytes((double)report->outstanding_bytes, human),
			 report->outstanding_count, report->outstanding_count == 1 ? "" : "s",
			 report->sites.count, report->sites.count == 1 ? "" : "s");
	ml_page_trend(&line, report->points.items, report->points.count, report,
		      trend_width(canvas), canvas->is_wide);
	ml_strbuf_puts(&line, "  ");
	ml_page_verdicts(&line, report);
	put_line(canvas, 1, ML_STYLE_PLAIN, line.text);
}

/* The sentence on all sites; before there is one, how many calls were seen. */
static void draw_summary(struct ml_canvas *canvas, const struct ml_report *report)
{
	ML_STRBUF_CLEANUP struct ml_strbuf line = {0};

	if (report->summary.text[0])
		ml_strbuf_printf(&line, " %s", report->summary.text);
	else
		ml_strbuf_printf(&line, " %" PRIu64 " allocations and %" PRIu64 " frees so far",
				 report->allocs, report->frees);
	put_line(canvas, 2, report->summary.sites[ML_VERDICT_LEAK] ? ML_STYLE_LEAK : ML_STYLE_PLAIN,
		 line.text);
}

static void draw_footer(struct ml_canvas *canvas, const struct ml_view *view, const char *message)
{
	ML_STRBUF_CLEANUP struct ml_strbuf line = {0};

	if (view->is_typing)
		ml_strbuf_printf(&line, " filter: %s_  (Enter keeps, Esc clears)", view->filter);
	else if (message)
		ml_strbuf_printf(&line, " %s", message);
	else if (view->page == ML_VIEW_SITES)
		ml_strbuf_printf(&line,
				 " Enter stack  s sort: %s  / filter  m mark  p pause  ? help  "
				 "q quit",
				 ml_view_sort_name(view->sort));
	else
		ml_strbuf_puts(&line, " Up Down scroll  Esc back  ? help  p pause  m mark");
	put_line(canvas, canvas->lines - 1,
		 message && !view->is_typing ? ML_STYLE_HEAD : ML_STYLE_DIM, line.text);
}

void ml_draw(struct ml_canvas *canvas, struct ml_view *view, const char *message)
{
	if (canvas->lines < ML_DRAW_LINES_MIN || canvas->columns < ML_DRAW_COLUMNS_MIN) {
		if (canvas->lines)
			put_line(canvas, 0, ML_STYLE_PLAIN, "window too small (q quits)");
		return;
	}
	view->height = canvas->lines - HEADER_LINES - 1;
	if (!view->report) {
		put_line(canvas, 0, ML_STYLE_TITLE, " memleak");
		put_line(canvas, 2, ML_STYLE_DIM, " waiting for the first figures");
	} else {
		draw_title(canvas, view);
		draw_totals(canvas, view->report);
		draw_summary(canvas, view->report);
		if (view->page == ML_VIEW_SITES)
			draw_sites(canvas, view);
		else
			draw_page(canvas, view);
	}
	draw_footer(canvas, view, message);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "live/page.h"

#include "base/human.h"
#include "live/sparkline.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Adds a line that takes @text over. */
static void add_line(struct ml_page *page, enum ml_style style, struct ml_strbuf *text)
{
	*ml_array_push(&page->lines) = (struct ml_page_line){style, ml_strbuf_take(text)};
}

/* Adds @text as lines that begin with two blanks, broken at blanks to fit into @columns. */
static void add_wrapped(struct ml_page *page, enum ml_style style, const char *text,
			unsigned int columns)
{
	size_t width = columns > 10 ? columns - 4 : 6;

	while (*text) {
		struct ml_strbuf line = {0};
		size_t length = strlen(text);

		if (length > width) {
			length = width;
			while (length && text[length] != ' ')
				length--;
			length = length ? length : width;
		}
		ml_strbuf_puts(&line, "  ");
		ml_strbuf_add(&line, text, length);
		add_line(page, style, &line);
		text += length;
		text += strspn(text, " ");
	}
}

void ml_page_frame(struct ml_strbuf *text, const struct ml_report_frame *frame, bool full)
{
	const char *symbol = full || !frame->short_symbol ? frame->symbol : frame->short_symbol;

	if (!symbol)
		ml_strbuf_printf(text, "0x%" PRIx64, frame->offset);
	else
		ml_strbuf_puts(text, symbol);
	if (full && frame->is_inlined)
		ml_strbuf_puts(text, " [inlined]");
	else if (full && symbol && frame->offset)
		ml_strbuf_printf(text, "+0x%" PRIx64, frame->offset);
	if (frame->file && frame->line > 0)
		ml_strbuf_printf(text, " %s:%d", ml_report_file_name(frame->file), frame->line);
	ml_strbuf_printf(text, " [%s]", frame->module);
}

void ml_page_trend(struct ml_strbuf *text, const struct ml_timeline_point *points, size_t count,
		   const struct ml_report *report, unsigned int columns, bool is_wide)
{
	ml_sparkline(points, count, report->start_ns, report->now_ns, columns, is_wide, text);
}

void ml_page_verdicts(struct ml_strbuf *text, const struct ml_report *report)
{
	static const enum ml_verdict_class order[] = {
		ML_VERDICT_LEAK,   ML_VERDICT_GROWING, ML_VERDICT_CACHE,
		ML_VERDICT_STEADY, ML_VERDICT_STARTUP, ML_VERDICT_UNKNOWN,
	};
	const size_t *counts = report->summary.sites;
	const char *separator = "";

	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		if (!counts[order[i]])
			continue;
		ml_strbuf_printf(text, "%s%zu %s", separator, counts[order[i]],
				 ml_verdict_name(order[i]));
		separator = ", ";
	}
}

static void add_age(struct ml_strbuf *line, const char *what, int64_t age_ms)
{
	char human[ML_HUMAN_TEXT];

	if (age_ms >= 0)
		ml_strbuf_printf(line, ", %s %s ago", what,
				 ml_human_duration((uint64_t)age_ms / 1000, human));
}

static void add_figures(struct ml_page *page, const struct ml_report_site *site)
{
	struct ml_strbuf line = {0};
	char human[ML_HUMAN_TEXT];

	ml_strbuf_printf(&line, " %s (%" PRIu64 " bytes) live in %" PRIu64 " blocks",
			 ml_human_bytes((double)site->bytes, human), site->bytes, site->count);
	add_line(page, ML_STYLE_HEAD, &line);
	ml_strbuf_printf(&line, "  %" PRIu64 " allocations, %" PRIu64 " frees", site->allocs,
			 site->frees);
	add_age(&line, "oldest", site->oldest_ms);
	add_age(&line, "newest", site->newest_ms);
	add_line(page, ML_STYLE_PLAIN, &line);
}

enum ml_style ml_page_verdict_style(enum ml_verdict_class class)
{
	if (class == ML_VERDICT_LEAK)
		return ML_STYLE_LEAK;
	if (class == ML_VERDICT_GROWING)
		return ML_STYLE_GROWING;
	return class == ML_VERDICT_UNKNOWN ? ML_STYLE_DIM : ML_STYLE_FINE;
}

static void add_verdict(struct ml_page *page, const struct ml_verdict *verdict,
			const struct ml_canvas *canvas)
{
	ML_STRBUF_CLEANUP struct ml_strbuf text = {0};

	ml_strbuf_puts(&text, ml_verdict_name(verdict->class));
	if (verdict->class != ML_VERDICT_UNKNOWN)
		ml_strbuf_printf(&text, " (%.0f %%)", 100 * verdict->confidence);
	if (verdict->why[0])
		ml_strbuf_printf(&text, ": %s", verdict->why);
	add_wrapped(page, ml_page_verdict_style(verdict->class), text.text, canvas->columns);
}

static void add_stack(struct ml_page *page, const struct ml_report_site *site)
{
	static const char *const ends[ML_WALK_END_COUNT] = {
		[ML_WALK_FAULT] = "  (goes on, but its memory could not be read)",
		[ML_WALK_NO_UNWIND_INFO] = "  (goes on, but the code has no unwind information)",
		[ML_WALK_DEPTH] = "  (goes on beyond the depth limit)",
	};
	struct ml_strbuf line = {0};
	size_t number = 0;

	ml_strbuf_puts(&line, " Allocated from, the innermost call first (> where to look):");
	add_line(page, ML_STYLE_HEAD, &line);
	ml_array_each (frame, &site->frames) {
		if (frame->is_interpreter)
			continue;
		bool is_owner = site->owner == (size_t)(frame - site->frames.items) + 1;

		ml_strbuf_printf(&line, "%s%2zu ", is_owner ? "> " : "  ", number++);
		ml_page_frame(&line, frame, true);
		add_line(page, is_owner ? ML_STYLE_HEAD : ML_STYLE_PLAIN, &line);
	}
	const char *end = site->is_stack_lost                           ? "  (the stack was lost)"
			  : (unsigned int)site->end < ML_WALK_END_COUNT ? ends[site->end]
									: NULL;

	if (end) {
		ml_strbuf_puts(&line, end);
		add_line(page, ML_STYLE_DIM, &line);
	}
}

void ml_page_site(struct ml_page *page, const struct ml_report *report,
		  const struct ml_report_site *site, const struct ml_canvas *canvas)
{
	struct ml_strbuf line = {0};

	if (!site) {
		ml_strbuf_puts(&line, " this site has nothing outstanding any more");
		add_line(page, ML_STYLE_DIM, &line);
		return;
	}
	add_figures(page, site);
	ml_strbuf_puts(&line, "  ");
	ml_page_trend(&line, site->points.items, site->points.count, report,
		      canvas->columns > 64 ? 60 : canvas->columns - 4, canvas->is_wide);
	add_line(page, ML_STYLE_PLAIN, &line);
	add_verdict(page, &site->verdict, canvas);
	add_line(page, ML_STYLE_PLAIN, &line);
	add_stack(page, site);
}

void ml_page_help(struct ml_page *page, const struct ml_report *report,
		  const struct ml_canvas *canvas)
{
	static const char *const texts[] = {
		"Up Down PgUp PgDn Home End (j k g G): move",
		"Enter: the stack of the site, and why it got its verdict; Esc: back",
		"s: sort by bytes, blocks, growth or verdict",
		"/: show only sites with a text in their functions, files, modules or verdict",
		"m: set a mark     p: pause     q: quit, with a last report",
		"LIVE, BLOCKS: allocated since memleak came, not freed, old enough (--older)",
		"TREND: live bytes from the start to now; the highest value is the full height",
		"VERDICT: leak = grows and nothing comes back; growing = grows, but some is freed; "
		"cache = bounded; steady = freed again; startup = nothing new; unknown = watch "
		"longer",
	};
	struct ml_strbuf line = {0};

	ml_strbuf_puts(&line, " Keys and columns");
	add_line(page, ML_STYLE_HEAD, &line);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		add_wrapped(page, ML_STYLE_PLAIN, texts[i], canvas->columns);
	ml_strbuf_puts(&line, " What makes the figures wrong");
	add_line(page, ML_STYLE_HEAD, &line);
	size_t before = page->lines.count;

	for (size_t i = 0; report && i < ML_COUNTER_COUNT; i++) {
		if (!report->counters[i])
			continue;
		ml_report_add_caveat(&line, i, report->counters[i]);
		add_wrapped(page, ML_STYLE_GROWING, line.text, canvas->columns);
		ml_strbuf_clear(&line);
	}
	if (page->lines.count == before)
		add_wrapped(page, ML_STYLE_PLAIN, "nothing", canvas->columns);
	ml_strbuf_free(&line);
}

void ml_page_deinit(struct ml_page *page)
{
	ml_array_each (line, &page->lines)
		free(line->text);
	ml_array_free(&page->lines);
}

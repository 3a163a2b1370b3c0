/* SPDX-License-Identifier: BSD-2-Clause */
#include "live/view.h"

#include <stdlib.h>
#include <string.h>

const char *ml_view_sort_name(enum ml_view_sort sort)
{
	static const char *const names[ML_VIEW_SORTS] = {"bytes", "blocks", "growth", "verdict"};

	return names[sort];
}

const struct ml_report_frame *ml_view_frame(const struct ml_report_site *site)
{
	if (site->owner && site->owner <= site->frames.count)
		return &site->frames.items[site->owner - 1];
	ml_array_each (frame, &site->frames) {
		if (!frame->is_interpreter && frame->symbol)
			return frame;
	}
	return site->frames.count ? &site->frames.items[0] : NULL;
}

const struct ml_report_site *ml_view_selected(const struct ml_view *view)
{
	return view->cursor < view->rows.count
		       ? &view->report->sites.items[view->rows.items[view->cursor]]
		       : NULL;
}

static bool contains(const char *text, const char *part)
{
	return text && strcasestr(text, part);
}

static bool matches(const struct ml_report_site *site, const char *filter)
{
	if (!*filter || contains(ml_verdict_name(site->verdict.class), filter) ||
	    contains(site->comm, filter))
		return true;
	ml_array_each (frame, &site->frames) {
		if (contains(frame->symbol, filter) || contains(frame->module, filter) ||
		    contains(frame->file, filter))
			return true;
	}
	return false;
}

/* Negative when @a comes first. */
#define DESCENDING(a, b) (((a) < (b)) - ((a) > (b)))

static int verdict_rank(enum ml_verdict_class class)
{
	static const int ranks[] = {
		[ML_VERDICT_LEAK] = 5,  [ML_VERDICT_GROWING] = 4, [ML_VERDICT_UNKNOWN] = 3,
		[ML_VERDICT_CACHE] = 2, [ML_VERDICT_STEADY] = 1,  [ML_VERDICT_STARTUP] = 0,
	};

	return ranks[class];
}

static int compare_verdicts(const struct ml_report_site *a, const struct ml_report_site *b)
{
	int rank_a = verdict_rank(a->verdict.class), rank_b = verdict_rank(b->verdict.class);

	if (rank_a != rank_b)
		return DESCENDING(rank_a, rank_b);
	return DESCENDING(a->verdict.confidence, b->verdict.confidence);
}

static int compare_rows(const void *left, const void *right, void *context)
{
	const struct ml_view *view = context;
	const struct ml_report_site *a = &view->report->sites.items[*(const uint32_t *)left];
	const struct ml_report_site *b = &view->report->sites.items[*(const uint32_t *)right];
	int order = 0;

	switch (view->sort) {
	case ML_VIEW_BY_BLOCKS:
		order = DESCENDING(a->count, b->count);
		break;
	case ML_VIEW_BY_GROWTH:
		order = DESCENDING(a->verdict.growth_bytes_per_s, b->verdict.growth_bytes_per_s);
		break;
	case ML_VIEW_BY_VERDICT:
		order = compare_verdicts(a, b);
		break;
	case ML_VIEW_BY_BYTES:
	case ML_VIEW_SORTS:
		break;
	}
	if (!order)
		order = DESCENDING(a->bytes, b->bytes);
	return order ? order : DESCENDING(b->id, a->id);
}

void ml_view_scroll_to_cursor(struct ml_view *view)
{
	size_t height = view->height ? view->height : 1;

	if (view->cursor >= view->rows.count)
		view->cursor = view->rows.count ? view->rows.count - 1 : 0;
	if (view->first > view->cursor)
		view->first = view->cursor;
	if (view->cursor - view->first >= height)
		view->first = view->cursor - height + 1;
}

/* Remembers the site under the cursor, for the next report. */
static void select_cursor(struct ml_view *view)
{
	ml_view_scroll_to_cursor(view);
	const struct ml_report_site *site = ml_view_selected(view);

	view->selected = site ? site->id : 0;
}

/* The rows anew; the cursor stays on its site, or on its line when that is gone. */
static void arrange(struct ml_view *view)
{
	view->rows.count = 0;
	if (!view->report)
		return;
	for (size_t i = 0; i < view->report->sites.count; i++) {
		if (matches(&view->report->sites.items[i], view->filter))
			*ml_array_push(&view->rows) = (uint32_t)i;
	}
	if (view->rows.count)
		qsort_r(view->rows.items, view->rows.count, sizeof(*view->rows.items), compare_rows,
			view);
	bool is_found = false;

	for (size_t i = 0; i < view->rows.count && view->selected && !is_found; i++) {
		is_found = view->report->sites.items[view->rows.items[i]].id == view->selected;
		if (is_found)
			view->cursor = i;
	}
	/* Never another site's stack in place of the one that was opened. */
	if (!is_found && view->page == ML_VIEW_STACK)
		view->page = ML_VIEW_SITES;
	select_cursor(view);
}

void ml_view_set_report(struct ml_view *view, const struct ml_report *report)
{
	view->report = report;
	arrange(view);
}

/* Moves by @lines, which may be far too many. */
static size_t moved(size_t at, long lines, size_t last)
{
	if (lines < 0)
		return (size_t)-lines > at ? 0 : at - (size_t)-lines;
	return (size_t)lines > last || at > last - (size_t)lines ? last : at + (size_t)lines;
}

/* Lines a key moves by; 0 for other keys. */
static long lines_of(const struct ml_view *view, int key)
{
	long page = view->height > 1 ? (long)view->height - 1 : 1;

	switch (key) {
	case ML_KEY_UP:
	case 'k':
		return -1;
	case ML_KEY_DOWN:
	case 'j':
		return 1;
	case ML_KEY_PAGE_UP:
		return -page;
	case ML_KEY_PAGE_DOWN:
	case ' ':
		return page;
	case ML_KEY_HOME:
	case 'g':
		return -0x7fffffff;
	case ML_KEY_END:
	case 'G':
		return 0x7fffffff;
	default:
		return 0;
	}
}

static void type(struct ml_view *view, int key)
{
	size_t length = strlen(view->filter);

	if (key == ML_KEY_ENTER) {
		view->is_typing = false;
	} else if (key == ML_KEY_ESCAPE) {
		view->is_typing = false;
		view->filter[0] = '\0';
	} else if (key == ML_KEY_BACKSPACE) {
		/* Whole characters of UTF-8. */
		while (length && ((unsigned char)view->filter[--length] & 0xc0) == 0x80)
			;
		view->filter[length] = '\0';
	} else if (key >= ' ' && key < 256 && key != 0x7f && length + 1 < ML_VIEW_FILTER) {
		view->filter[length] = (char)key;
		view->filter[length + 1] = '\0';
	}
	arrange(view);
}

static void open_page(struct ml_view *view, enum ml_view_page page)
{
	view->page = page;
	view->scroll = 0;
}

static enum ml_view_wish key_in_sites(struct ml_view *view, int key)
{
	long lines = lines_of(view, key);

	if (lines && view->rows.count) {
		view->cursor = moved(view->cursor, lines, view->rows.count - 1);
		select_cursor(view);
		return ML_VIEW_NOTHING;
	}
	switch (key) {
	case 'q':
		return ML_VIEW_QUIT;
	case ML_KEY_ENTER:
		if (view->rows.count)
			open_page(view, ML_VIEW_STACK);
		break;
	case ML_KEY_ESCAPE:
		view->filter[0] = '\0';
		arrange(view);
		break;
	default:
		break;
	}
	return ML_VIEW_NOTHING;
}

static enum ml_view_wish key_in_page(struct ml_view *view, int key)
{
	if (key == 'q' || key == ML_KEY_ESCAPE || key == ML_KEY_ENTER || key == ML_KEY_BACKSPACE)
		open_page(view, ML_VIEW_SITES);
	else /* whoever draws knows the length and sets `scroll` back */
		view->scroll = moved(view->scroll, lines_of(view, key), 1 << 20);
	return ML_VIEW_NOTHING;
}

enum ml_view_wish ml_view_key(struct ml_view *view, int key)
{
	if (view->is_typing) {
		type(view, key);
		return ML_VIEW_NOTHING;
	}
	switch (key) {
	case 's':
		view->sort = (view->sort + 1) % ML_VIEW_SORTS;
		arrange(view);
		return ML_VIEW_NOTHING;
	case '/':
		open_page(view, ML_VIEW_SITES);
		view->is_typing = true;
		return ML_VIEW_NOTHING;
	case 'p':
		view->is_paused = !view->is_paused;
		return ML_VIEW_NOTHING;
	case 'm':
		return ML_VIEW_MARK;
	case '?':
	case 'h':
		open_page(view, view->page == ML_VIEW_HELP ? ML_VIEW_SITES : ML_VIEW_HELP);
		return ML_VIEW_NOTHING;
	default:
		return view->page == ML_VIEW_SITES ? key_in_sites(view, key)
						   : key_in_page(view, key);
	}
}

void ml_view_deinit(struct ml_view *view)
{
	ml_array_free(&view->rows);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * What the live view shows and how keys change it; knows nothing of terminals.
 */
#ifndef ML_LIVE_VIEW_H
#define ML_LIVE_VIEW_H

#include "report/report.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Bytes of a filter with its NUL. */
#define ML_VIEW_FILTER 64

enum ml_view_page { ML_VIEW_SITES, ML_VIEW_STACK, ML_VIEW_HELP };

enum ml_view_sort {
	ML_VIEW_BY_BYTES,
	ML_VIEW_BY_BLOCKS,
	ML_VIEW_BY_GROWTH,
	ML_VIEW_BY_VERDICT, /**< leaks first, the surest on top */
	ML_VIEW_SORTS,
};

/** Keys beside characters, which are themselves. */
enum ml_view_key {
	ML_KEY_UP = 256,
	ML_KEY_DOWN,
	ML_KEY_PAGE_UP,
	ML_KEY_PAGE_DOWN,
	ML_KEY_HOME,
	ML_KEY_END,
	ML_KEY_ENTER,
	ML_KEY_ESCAPE,
	ML_KEY_BACKSPACE,
};

/** What a key asks of the program. */
enum ml_view_wish { ML_VIEW_NOTHING, ML_VIEW_MARK, ML_VIEW_QUIT };

/** All-zero is a view of nothing. */
struct ml_view {
	const struct ml_report *report; /**< borrowed; NULL = none yet */
	enum ml_view_page page;
	enum ml_view_sort sort;
	bool is_paused;              /**< new reports are not taken */
	bool is_typing;              /**< keys go to the filter */
	char filter[ML_VIEW_FILTER]; /**< sites without it are not shown; empty = all */
	ML_ARRAY(uint32_t) rows;     /**< indices of sites, in the order shown */
	size_t cursor;               /**< selected row */
	uint64_t selected;           /**< its site: stays selected in the next report */
	size_t first;                /**< first row on the screen */
	size_t scroll;               /**< first line of the stack or the help shown */
	unsigned int height;         /**< lines for rows, set by whoever draws; 0 = unknown */
};

/** Shows @p report, which must outlive the view or the next call. */
void ml_view_set_report(struct ml_view *view, const struct ml_report *report);

/** Takes a character or an enum ml_view_key. */
enum ml_view_wish ml_view_key(struct ml_view *view, int key);

/** The selected site; NULL when nothing is shown. */
const struct ml_report_site *ml_view_selected(const struct ml_view *view);

/** Moves `first` so that the cursor is on the screen. After a change of height. */
void ml_view_scroll_to_cursor(struct ml_view *view);

/** The frame of @p site a person looks at first: the owner; NULL when there is no frame. */
const struct ml_report_frame *ml_view_frame(const struct ml_report_site *site);

const char *ml_view_sort_name(enum ml_view_sort sort);

void ml_view_deinit(struct ml_view *view);

#endif

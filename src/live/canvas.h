/* SPDX-License-Identifier: BSD-2-Clause */
/** What the live view draws on: a grid of characters with styles. */
#ifndef ML_LIVE_CANVAS_H
#define ML_LIVE_CANVAS_H

#include <stdbool.h>

enum ml_style {
	ML_STYLE_PLAIN,
	ML_STYLE_TITLE, /**< the bar on top */
	ML_STYLE_HEAD,  /**< names of columns, headings */
	ML_STYLE_DIM,
	ML_STYLE_LEAK,
	ML_STYLE_GROWING,
	ML_STYLE_FINE,
	ML_STYLE_COUNT,
};

struct ml_canvas {
	unsigned int lines, columns;
	bool is_wide; /**< the terminal shows more than ASCII */
	/**
	 * Writes @p text, which takes no more columns than are left; @p is_selected lights it up.
	 */
	void (*put)(struct ml_canvas *canvas, unsigned int line, unsigned int column,
		    enum ml_style style, bool is_selected, const char *text);
};

#endif

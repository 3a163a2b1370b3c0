/* SPDX-License-Identifier: BSD-2-Clause */
/** Draws a view on a canvas. */
#ifndef ML_LIVE_DRAW_H
#define ML_LIVE_DRAW_H

#include "live/canvas.h"
#include "live/view.h"

/** Fewer lines or columns than this show a line that asks for more. */
#define ML_DRAW_LINES_MIN   8u
#define ML_DRAW_COLUMNS_MIN 40u

/**
 * Draws all of @p view on @p canvas, which is blank. Sets the view's height, and sets back what is
 * scrolled beyond the end. @p message is shown in the last line instead of the keys; NULL = none.
 */
void ml_draw(struct ml_canvas *canvas, struct ml_view *view, const char *message);

#endif

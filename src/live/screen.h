/* SPDX-License-Identifier: BSD-2-Clause */
/** The terminal, by ncurses. One at a time. */
#ifndef ML_LIVE_SCREEN_H
#define ML_LIVE_SCREEN_H

#include "base/error.h"
#include "live/canvas.h"

#include <stdbool.h>

struct ml_screen;

/**
 * Takes the terminal over. It is given back by ml_screen_close() and, should the program crash, by
 * handlers of the signals that end it so.
 */
struct ml_error *ml_screen_open(bool use_colour, struct ml_screen **out);

/** Readable when a key was pressed. */
int ml_screen_fd(const struct ml_screen *screen);

/** A character or an enum ml_view_key; 0 when there is none, -1 when the terminal is gone. */
int ml_screen_key(struct ml_screen *screen);

/** Takes the window's new size. */
void ml_screen_resize(struct ml_screen *screen);

/** A blank canvas to draw on; ml_screen_end() shows it. */
struct ml_canvas *ml_screen_begin(struct ml_screen *screen);
void ml_screen_end(struct ml_screen *screen);

/** NULL is fine. */
void ml_screen_close(struct ml_screen *screen);

#endif

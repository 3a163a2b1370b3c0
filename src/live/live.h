/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * The full-screen view of --live: takes reports and keys, and leaves the terminal as it was,
 * however it ends.
 */
#ifndef ML_LIVE_LIVE_H
#define ML_LIVE_LIVE_H

#include "base/error.h"
#include "report/report.h"

#include <stdbool.h>

struct ml_live;

/** What the user asks of the program. */
enum ml_live_wish { ML_LIVE_NOTHING, ML_LIVE_MARK, ML_LIVE_QUIT };

/**
 * Checks that the standard output is a terminal that can show it and that memleak is in its
 * foreground; touches nothing. For an early error.
 */
struct ml_error *ml_live_check(void);

/**
 * Takes the terminal over. SIGWINCH is blocked. What is written to the standard error from now on
 * is shown in the view and written for good by ml_live_close().
 */
struct ml_error *ml_live_open(bool use_colour, struct ml_live **out);

/** For epoll: readable when ml_live_dispatch() has work. */
int ml_live_fd(const struct ml_live *live);

/** Handles keys, a new size of the window, and messages. */
enum ml_live_wish ml_live_dispatch(struct ml_live *live);

/** Whether a new report would be shown: not while the user holds the picture. */
bool ml_live_wants_report(const struct ml_live *live);

/** Shows @p report and takes its contents over; *report is empty afterwards. */
void ml_live_show(struct ml_live *live, struct ml_report *report);

/** Gives the terminal back. NULL is fine. */
void ml_live_close(struct ml_live *live);

#endif

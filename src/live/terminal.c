/* SPDX-License-Identifier: BSD-2-Clause */
#include "live/terminal.h"

#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include <curses.h>
/* Behind everything else: its macros have names like `lines`. */
#include <term.h>

/* What cursor movement and clearing need; without them nothing can be drawn. */
static bool is_able(const char *type)
{
	int status = 0;
	bool able = false;

	if (setupterm(type, STDOUT_FILENO, &status) != OK)
		return false;
	able = cursor_address && clear_screen;
	del_curterm(cur_term);
	return able;
}

struct ml_error *ml_terminal_check(void)
{
	const char *type = getenv("TERM");

	if (!isatty(STDOUT_FILENO))
		return ml_error_new(ML_ERROR_UNSUPPORTED,
				    "--live: the standard output is not a terminal; leave it out "
				    "for plain reports");
	if (!type || !*type)
		return ml_error_new(ML_ERROR_UNSUPPORTED,
				    "--live: the kind of terminal is not known (TERM is not set); "
				    "try TERM=xterm");
	if (!is_able(type))
		return ml_error_new(ML_ERROR_UNSUPPORTED,
				    "--live: a terminal of the kind '%s' (TERM) is not known or "
				    "cannot move its cursor; leave --live out, install "
				    "ncurses-term or try TERM=xterm",
				    type);
	if (tcgetpgrp(STDOUT_FILENO) != getpgrp())
		return ml_error_new(ML_ERROR_UNSUPPORTED,
				    "--live: memleak is not in the terminal's foreground; start it "
				    "without '&'");
	return NULL;
}

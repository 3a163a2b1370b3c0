/* SPDX-License-Identifier: BSD-2-Clause */
#include "live/screen.h"

#include "base/array.h"
#include "live/rescue.h"
#include "live/view.h"

#include <curses.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define ESCAPE 27

struct ml_screen {
	struct ml_canvas canvas; /* first: put() gets it */
	SCREEN *terminal;
	FILE *in, *out;
	bool use_colour;
};

static void put(struct ml_canvas *canvas, unsigned int line, unsigned int column,
		enum ml_style style, bool is_selected, const char *text)
{
	const struct ml_screen *screen = (const struct ml_screen *)canvas;
	static const attr_t plain[ML_STYLE_COUNT] = {
		[ML_STYLE_TITLE] = A_REVERSE,
		[ML_STYLE_HEAD] = A_BOLD,
		[ML_STYLE_DIM] = A_DIM,
		[ML_STYLE_LEAK] = A_BOLD,
	};
	attr_t attributes = plain[style];

	if (screen->use_colour && style >= ML_STYLE_LEAK)
		attributes |= (attr_t)COLOR_PAIR(style - ML_STYLE_LEAK + 1);
	if (is_selected)
		attributes = (attributes & ~(attr_t)A_DIM) | A_REVERSE;
	attrset(attributes);
	mvaddstr((int)line, (int)column, text);
	attrset(A_NORMAL);
}

static void set_up_colours(struct ml_screen *screen)
{
	static const short colours[] = {COLOR_RED, COLOR_YELLOW, COLOR_GREEN};

	screen->use_colour = screen->use_colour && has_colors() && start_color() == OK;
	if (!screen->use_colour)
		return;
	use_default_colors();
	for (short i = 0; i < 3; i++)
		init_pair((short)(i + 1), colours[i], -1);
}

static void set_up(struct ml_screen *screen)
{
	cbreak();
	noecho();
	nonl();
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	set_escdelay(25);
	curs_set(0);
	set_up_colours(screen);
	getmaxyx(stdscr, screen->canvas.lines, screen->canvas.columns);
}

/* The controlling terminal: the standard input may be something else. */
static FILE *open_keys(void)
{
	int fd = isatty(STDIN_FILENO) ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
				      : open("/dev/tty", O_RDONLY | O_CLOEXEC | O_NOCTTY);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "r");

	if (!file && fd >= 0)
		close(fd);
	return file;
}

struct ml_error *ml_screen_open(bool use_colour, struct ml_screen **out)
{
	struct ml_screen *screen = ml_alloc(sizeof(*screen));
	int fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);

	setlocale(LC_CTYPE, "");
	*screen = (struct ml_screen){
		.canvas = {.put = put, .is_wide = MB_CUR_MAX > 1},
		.in = open_keys(),
		.out = fd < 0 ? NULL : fdopen(fd, "w"),
		.use_colour = use_colour,
	};
	if (screen->in && screen->out) {
		ml_rescue_arm(fd);
		screen->terminal = newterm(NULL, screen->out, screen->in);
	}
	if (!screen->terminal) {
		struct ml_error *error = ml_error_errno(errno, "--live: cannot use the terminal");

		if (fd >= 0 && !screen->out)
			close(fd);
		ml_screen_close(screen);
		return error;
	}
	set_up(screen);
	*out = screen;
	return NULL;
}

int ml_screen_fd(const struct ml_screen *screen)
{
	return fileno(screen->in);
}

static int translate(int key)
{
	switch (key) {
	case KEY_UP:
		return ML_KEY_UP;
	case KEY_DOWN:
		return ML_KEY_DOWN;
	case KEY_PPAGE:
		return ML_KEY_PAGE_UP;
	case KEY_NPAGE:
		return ML_KEY_PAGE_DOWN;
	case KEY_HOME:
		return ML_KEY_HOME;
	case KEY_END:
		return ML_KEY_END;
	case KEY_ENTER:
	case '\r':
	case '\n':
	case KEY_RIGHT:
		return ML_KEY_ENTER;
	case ESCAPE:
	case KEY_LEFT:
		return ML_KEY_ESCAPE;
	case KEY_BACKSPACE:
	case 0x7f:
	case '\b':
		return ML_KEY_BACKSPACE;
	default:
		return key;
	}
}

/* Ctrl+L: whatever another program wrote over the picture goes. */
static bool handle_here(int key)
{
	if (key == ('L' & 0x1f))
		clearok(curscr, TRUE);
	return key == ('L' & 0x1f) || key == KEY_RESIZE;
}

int ml_screen_key(struct ml_screen *screen)
{
	struct pollfd state = {.fd = fileno(screen->in)};

	/* getch() says the same for "no key" and for "no terminal". */
	if (poll(&state, 1, 0) == 1 && state.revents & (POLLHUP | POLLERR | POLLNVAL))
		return -1;
	for (;;) {
		int key = getch();

		if (key == ERR)
			return 0;
		if (!handle_here(key))
			return translate(key);
	}
}

void ml_screen_resize(struct ml_screen *screen)
{
	struct winsize size;

	if (ioctl(fileno(screen->out), TIOCGWINSZ, &size) || !size.ws_row || !size.ws_col)
		return;
	resizeterm(size.ws_row, size.ws_col);
	clearok(curscr, TRUE);
	getmaxyx(stdscr, screen->canvas.lines, screen->canvas.columns);
}

struct ml_canvas *ml_screen_begin(struct ml_screen *screen)
{
	erase();
	return &screen->canvas;
}

void ml_screen_end(struct ml_screen *screen)
{
	refresh();
}

void ml_screen_close(struct ml_screen *screen)
{
	if (!screen)
		return;
	if (screen->terminal) {
		endwin();
		delscreen(screen->terminal);
	}
	ml_rescue_disarm();
	if (screen->in)
		fclose(screen->in);
	if (screen->out)
		fclose(screen->out);
	free(screen);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "live/rescue.h"

#include <signal.h>
#include <stddef.h>
#include <termios.h>
#include <unistd.h>

static const int fatal[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGQUIT};

/* Read by the handler. */
static struct termios modes;
static int terminal_fd = -1;

/* Only what signal-safety(7) allows: endwin() is not. */
static void give_back(int number)
{
	/* Normal attributes, cursor on, the other screen off (xterm's ctlseqs: DECSET 1049). */
	static const char text[] = "\033[0m\033[?25h\033[?1049l\r\n";

	if (terminal_fd >= 0) {
		tcsetattr(terminal_fd, TCSANOW, &modes);
		if (write(terminal_fd, text, sizeof(text) - 1) < 0)
			terminal_fd = -1;
	}
	/* SA_RESETHAND: this time it is fatal. */
	raise(number);
}

static void set_handlers(void (*handler)(int))
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = (int)SA_RESETHAND};

	for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++)
		sigaction(fatal[i], &action, NULL);
}

void ml_rescue_arm(int fd)
{
	if (tcgetattr(fd, &modes))
		return;
	terminal_fd = fd;
	set_handlers(give_back);
}

void ml_rescue_disarm(void)
{
	if (terminal_fd < 0)
		return;
	terminal_fd = -1;
	set_handlers(SIG_DFL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "live/live.h"

#include "live/draw.h"
#include "live/messages.h"
#include "live/screen.h"
#include "live/terminal.h"
#include "live/view.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

struct ml_live {
	struct ml_screen *screen;
	struct ml_messages messages;
	struct ml_view view;
	struct ml_report report; /* shown */
	int epoll_fd, resize_fd;
};

struct ml_error *ml_live_check(void)
{
	return ml_terminal_check();
}

static void draw(struct ml_live *live)
{
	ml_draw(ml_screen_begin(live->screen), &live->view, ml_messages_newest(&live->messages));
	ml_screen_end(live->screen);
}

static struct ml_error *watch(struct ml_live *live, int fd)
{
	struct epoll_event event = {.events = EPOLLIN};

	if (fd < 0 || epoll_ctl(live->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
		return ml_error_errno(errno, "cannot wait for keys");
	return NULL;
}

static int open_resize(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGWINCH);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

struct ml_error *ml_live_open(bool use_colour, struct ml_live **out)
{
	struct ml_live *live = ml_alloc(sizeof(*live));

	*live = (struct ml_live){
		.epoll_fd = epoll_create1(EPOLL_CLOEXEC),
		.resize_fd = open_resize(),
	};
	struct ml_error *error = ml_messages_open(&live->messages);

	if (!error)
		error = watch(live, live->resize_fd);
	if (!error)
		error = watch(live, ml_messages_fd(&live->messages));
	if (!error)
		error = ml_screen_open(use_colour, &live->screen);
	if (!error)
		error = watch(live, ml_screen_fd(live->screen));
	if (error) {
		ml_live_close(live);
		return error;
	}
	draw(live);
	*out = live;
	return NULL;
}

int ml_live_fd(const struct ml_live *live)
{
	return live->epoll_fd;
}

static enum ml_live_wish read_keys(struct ml_live *live)
{
	enum ml_view_wish wish = ML_VIEW_NOTHING;
	int key = 0;

	while (wish == ML_VIEW_NOTHING && (key = ml_screen_key(live->screen)) > 0) {
		ml_messages_seen(&live->messages);
		wish = ml_view_key(&live->view, key);
	}
	if (key < 0)
		return ML_LIVE_QUIT; /* the terminal is gone */
	return wish == ML_VIEW_QUIT   ? ML_LIVE_QUIT
	       : wish == ML_VIEW_MARK ? ML_LIVE_MARK
				      : ML_LIVE_NOTHING;
}

enum ml_live_wish ml_live_dispatch(struct ml_live *live)
{
	struct signalfd_siginfo info;
	bool is_resized = false;

	while (read(live->resize_fd, &info, sizeof(info)) == sizeof(info))
		is_resized = true;
	if (is_resized)
		ml_screen_resize(live->screen);
	enum ml_live_wish wish = read_keys(live);

	ml_messages_read(&live->messages);
	draw(live);
	return wish;
}

bool ml_live_wants_report(const struct ml_live *live)
{
	return !live->view.is_paused;
}

void ml_live_show(struct ml_live *live, struct ml_report *report)
{
	struct ml_report old = live->report;

	live->report = *report;
	*report = (struct ml_report){0};
	ml_view_set_report(&live->view, &live->report);
	ml_report_deinit(&old);
	ml_messages_read(&live->messages);
	draw(live);
}

void ml_live_close(struct ml_live *live)
{
	if (!live)
		return;
	ml_screen_close(live->screen);
	ml_messages_close(&live->messages);
	ml_view_deinit(&live->view);
	ml_report_deinit(&live->report);
	if (live->epoll_fd >= 0)
		close(live->epoll_fd);
	if (live->resize_fd >= 0)
		close(live->resize_fd);
	free(live);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/signals.h"

#include "base/clock.h"

#include <errno.h>
#include <unistd.h>

#define SAME_REQUEST_NS (ML_NS_PER_SECOND / 2)

static uint64_t first_ns; /* when the first request came; read by the handler */

static void end_at_once(int number)
{
	if (ml_monotonic_ns() - first_ns >= SAME_REQUEST_NS)
		_exit(128 + number);
}

/* What ml_signals_open() reads. */
static sigset_t handled_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGUSR1);
	return set;
}

void ml_signals_block(sigset_t *before)
{
	sigset_t set = handled_signals();

	sigaddset(&set, SIGPIPE);
	sigaddset(&set, SIGXFSZ); /* beyond ulimit -f: the write says so, too */
	sigprocmask(SIG_BLOCK, &set, before);
	/* An ignored SIGCHLD would have children reaped unseen (wait(2), NOTES). */
	signal(SIGCHLD, SIG_DFL);
}

void ml_signals_may_end(bool may)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(may ? SIG_UNBLOCK : SIG_BLOCK, &set, NULL);
}

struct ml_error *ml_signals_open(int *fd)
{
	sigset_t set = handled_signals();
	int opened = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);

	if (opened < 0)
		return ml_error_errno(errno, "cannot take signals");
	*fd = opened;
	return NULL;
}

void ml_signals_let_second_end(void)
{
	struct sigaction action = {.sa_handler = end_at_once, .sa_flags = SA_RESTART};
	sigset_t set;

	first_ns = ml_monotonic_ns();
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

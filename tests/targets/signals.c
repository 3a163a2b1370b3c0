/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Allocates and frees while queued signals (SIGRTMIN) and a timer interrupt it, until a line comes.
 * Tells how many queued signals arrived: none may be lost or doubled by being traced.
 */
#include "truth.h"

#include <poll.h>
#include <signal.h>
#include <sys/time.h>

static volatile sig_atomic_t queued, ticks;

static void on_queued(int signal)
{
	(void)signal;
	queued++;
}

static void on_tick(int signal)
{
	(void)signal;
	ticks++;
}

static NOINLINE void leak_between_signals(void)
{
	truth_keep(malloc(truth_opaque(101)));
}

static int has_line(void)
{
	struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};

	return poll(&input, 1, 0) > 0;
}

int main(void)
{
	const struct itimerval every_ms = {.it_interval.tv_usec = 1000, .it_value.tv_usec = 1000};
	const struct itimerval never = {.it_value.tv_sec = 0};
	struct sigaction action = {.sa_handler = on_queued, .sa_flags = SA_RESTART};
	size_t leaked = 0;

	sigaction(SIGRTMIN, &action, NULL);
	action.sa_handler = on_tick;
	sigaction(SIGALRM, &action, NULL);
	truth_ready();
	setitimer(ITIMER_REAL, &every_ms, NULL);
	while (!has_line()) {
		for (int i = 0; i < 100; i++)
			free(truth_keep(malloc(truth_opaque(64))));
		if (leaked < 101) {
			leak_between_signals();
			leaked++;
		}
		usleep(1000);
	}
	setitimer(ITIMER_REAL, &never, NULL);
	truth_wait();
	truth_site("leak_between_signals", 0, leaked * 101, leaked);
	truth_value("queued_signals", queued);
	truth_done();
	return 0;
}

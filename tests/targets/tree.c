/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * A server's tree: workers that allocate and free all the time, and a parent that goes on making
 * children. Each child leaks 701 bytes by a call of the C library's own, 709 after the first line;
 * each worker leaks 1009 bytes before it begins and 1013 when it is told to end. tree WORKERS:
 * works until it gets two lines, then says "done" and how long the longest fork took.
 */
#include "truth.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#define WORKERS_MAX 64

static volatile sig_atomic_t is_over;

static void end_work(int number)
{
	(void)number;
	is_over = 1;
}

static double now_s(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Within libc, where only a patch or a probe of malloc itself sees it. */
static NOINLINE char *copy_of_text(size_t length)
{
	char text[1024];

	memset(text, 'x', length);
	text[length] = 0;
	return strdup(truth_keep(text));
}

static NOINLINE void leak_early(void)
{
	truth_keep(copy_of_text(701 - 1)); /* no tail call */
}

static NOINLINE void leak_late(void)
{
	truth_keep(copy_of_text(709 - 1));
}

static NOINLINE void leak_first(void)
{
	truth_keep(copy_of_text(1009 - 1)); /* no tail call */
}

static NOINLINE void leak_last(void)
{
	truth_keep(copy_of_text(1013 - 1)); /* no tail call */
}

static _Noreturn void work(void)
{
	signal(SIGTERM, end_work);
	leak_first();
	while (!is_over) {
		void *blocks[16];

		for (int i = 0; i < 16; i++)
			blocks[i] = truth_keep(malloc(truth_opaque(100)));
		for (int i = 0; i < 16; i++)
			free(blocks[i]);
	}
	leak_last();
	_exit(0);
}

static void make_child(void (*leak)(void))
{
	pid_t child = fork();
	int status;

	if (!child) {
		leak();
		free(copy_of_text(300));
		_exit(23);
	}
	if (waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 23)
		_exit(98);
}

/* Makes children until there is a line to read: how many. */
static size_t make_children(void (*leak)(void), double *longest_s)
{
	struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
	size_t count = 0;

	do {
		double start_s = now_s(), took_s;

		make_child(leak);
		took_s = now_s() - start_s;
		*longest_s = took_s > *longest_s ? took_s : *longest_s;
		count++;
	} while (!poll(&input, 1, 2));
	truth_wait();
	return count;
}

int main(int argc, char **argv)
{
	size_t workers = truth_argument(argc, argv, 1, 2), early, late;
	pid_t pids[WORKERS_MAX];
	double longest_s = 0;

	truth_ready();
	for (size_t i = 0; i < workers && i < WORKERS_MAX; i++) {
		pids[i] = fork();
		if (!pids[i])
			work();
	}
	truth_event("working");
	early = make_children(leak_early, &longest_s);
	late = make_children(leak_late, &longest_s);
	for (size_t i = 0; i < workers; i++) {
		int status;

		kill(pids[i], SIGTERM);
		if (waitpid(pids[i], &status, 0) != pids[i] || status)
			return 97;
	}
	truth_site("leak_early", 0, 701 * early, early);
	truth_site("leak_late", 0, 709 * late, late);
	truth_site("leak_first", 0, 1009 * workers, workers);
	truth_site("leak_last", 0, 1013 * workers, workers);
	truth_value("longest_ms", (long long)(longest_s * 1e3));
	truth_done();
	return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Everything at once that could trip code put into a process: threads that come and go, fork,
 * vfork, posix_spawn, signal handlers that allocate and such on alternate stacks, deep recursion,
 * dlopen and dlclose, changes of the user id. Every byte it allocates is checked; at the end it
 * says what went wrong (nothing) and how much of each was done.
 */
#include "truth.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/time.h>
#include <sys/wait.h>

#define BATCH 20
#define DEPTH 1500

extern char **environ;

static atomic_int stop;
static atomic_long wrong, threads_made, children, handled, dives, loads, changes;
static const char *library;
static pthread_t signalled;
static atomic_int is_signalled;

/* What went wrong first, for the reader. */
static char first_wrong[200];

static void __attribute__((format(printf, 1, 2))) blame(const char *format, ...)
{
	va_list arguments;

	if (wrong++)
		return;
	va_start(arguments, format);
	vsnprintf(first_wrong, sizeof(first_wrong), format, arguments);
	va_end(arguments);
}

/* A block of @size bytes, filled, checked and freed. */
static NOINLINE void use_block(size_t size, unsigned char mark)
{
	unsigned char *block = truth_keep(malloc(size));

	if (!block) {
		blame("no memory");
		return;
	}
	memset(block, mark, size);
	block = truth_keep(realloc(block, 2 * size));
	for (size_t i = 0; i < size; i += 61)
		if (block[i] != mark)
			blame("byte %zu of %zu is %d, not %d", i, size, block[i], mark);
	free(block);
}

static void *short_life(void *argument)
{
	for (size_t i = 1; i < 20; i++)
		use_block(i * 37, (unsigned char)(size_t)argument);
	return NULL;
}

static void *churn(void *argument)
{
	pthread_t threads[BATCH];

	while (!stop) {
		for (size_t i = 0; i < BATCH; i++)
			if (pthread_create(&threads[i], NULL, short_life, (void *)i))
				blame("no thread");
		for (size_t i = 0; i < BATCH; i++)
			pthread_join(threads[i], NULL);
		threads_made += BATCH;
	}
	return argument;
}

static void expect_success(const char *what, pid_t child)
{
	int status = -1;

	if (child <= 0 || waitpid(child, &status, 0) != child || status)
		blame("%s: child %d, status %#x, errno %d", what, child, (unsigned int)status,
		      errno);
	children++;
}

static void *breed(void *argument)
{
	char *words[] = {"true", NULL};

	while (!stop) {
		long before = wrong;
		pid_t child = fork();

		if (!child) {
			for (size_t i = 1; i < 100; i++)
				use_block(i * 13, (unsigned char)i);
			_exit(wrong != before);
		}
		expect_success("fork", child);
		child = vfork();
		if (!child) {
			execv("/bin/true", words);
			_exit(1);
		}
		expect_success("vfork", child);
		if (posix_spawn(&child, "/bin/true", NULL, NULL, words, environ))
			child = 0;
		expect_success("posix_spawn", child);
		usleep(2000);
	}
	return argument;
}

static void on_signal(int number)
{
	use_block(100 + (size_t)number, (unsigned char)number);
	handled++;
}

/* The handler runs only where this thread waits for it, never within malloc. */
static void *be_signalled(void *argument)
{
	static char alternate[65536];
	const stack_t stack = {.ss_sp = alternate, .ss_size = sizeof(alternate)};
	const struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};
	sigset_t blocked, before;

	sigaltstack(&stack, NULL);
	sigaction(SIGUSR1, &action, NULL);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &blocked, &before);
	sigdelset(&before, SIGUSR1);
	signalled = pthread_self();
	is_signalled = 1;
	while (!stop) {
		use_block(333, 7);
		sigsuspend(&before);
	}
	return argument;
}

static NOINLINE size_t dive(size_t depth)
{
	volatile char frame[64];

	frame[depth % sizeof(frame)] = (char)depth;
	if (depth)
		return dive(depth - 1) + (size_t)(frame[depth % sizeof(frame)] != (char)depth);
	use_block(500, 3);
	return 0;
}

static void *dive_often(void *argument)
{
	while (!stop) {
		if (dive(truth_opaque(DEPTH)))
			blame("a frame has changed");
		dives++;
		if (is_signalled && dives % 16 == 0)
			pthread_kill(signalled, SIGUSR1);
	}
	return argument;
}

static void *load(void *argument)
{
	while (!stop && library) {
		void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);

		if (!handle)
			blame("dlopen: %s", dlerror());
		else if (dlclose(handle))
			blame("dlclose: %s", dlerror());
		loads++;
		usleep(1000);
	}
	return argument;
}

static void *change_user(void *argument)
{
	while (!stop && !getuid()) {
		if (seteuid(65534) || seteuid(0))
			blame("seteuid: errno %d", errno);
		changes++;
		usleep(5000);
	}
	return argument;
}

int main(int argc, char **argv)
{
	void *(*const parts[])(void *) = {churn, breed,       dive_often,
					  load,  change_user, be_signalled};
	/* The last: others signal it. */
	enum { PARTS = sizeof(parts) / sizeof(*parts), SIGNALLED = PARTS - 1 };
	pthread_t threads[PARTS];

	library = argc > 1 ? argv[1] : NULL;
	signal(SIGUSR1, SIG_IGN);
	truth_ready();
	for (size_t i = 0; i < PARTS; i++)
		pthread_create(&threads[i], NULL, parts[i], NULL);
	truth_event("busy");
	truth_wait();
	stop = 1;
	for (size_t i = 0; i < PARTS; i++) {
		/* It may be about to wait each time it is signalled. */
		while (i == SIGNALLED && pthread_kill(threads[i], SIGUSR1) == 0 &&
		       pthread_tryjoin_np(threads[i], NULL))
			usleep(1000);
		if (i != SIGNALLED)
			pthread_join(threads[i], NULL);
	}
	truth_value("wrong", wrong);
	if (wrong)
		truth_event(first_wrong);
	truth_value("threads", threads_made);
	truth_value("children", children);
	truth_value("handled", handled);
	truth_value("dives", dives);
	truth_value("loads", loads);
	truth_value("changes", changes);
	truth_done();
	return 0;
}

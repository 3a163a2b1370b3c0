/* SPDX-License-Identifier: BSD-2-Clause */
/** Leaks 101 bytes and ends as its argument says: main-thread, status, crash, abort. */
#include "truth.h"

#include <pthread.h>
#include <signal.h>

static NOINLINE void leak_before_end(void)
{
	truth_keep(malloc(truth_opaque(101)));
}

static void *survivor(void *unused)
{
	leak_before_end();
	truth_site("leak_before_end", 0, 202, 2);
	truth_done();
	exit(0);
	return unused;
}

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "status";
	pthread_t thread;

	truth_ready();
	leak_before_end();
	if (strcmp(how, "main-thread") == 0) {
		pthread_create(&thread, NULL, survivor, NULL);
		pthread_exit(NULL);
	}
	truth_site("leak_before_end", 0, 101, 1);
	truth_done();
	if (strcmp(how, "crash") == 0)
		raise(SIGSEGV);
	if (strcmp(how, "abort") == 0)
		abort();
	return 3;
}

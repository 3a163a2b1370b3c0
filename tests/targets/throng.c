/* SPDX-License-Identifier: BSD-2-Clause */
/** A thousand threads (or as many as the first argument says) at once, each of which leaks one
 * block when told to and waits. */
#include "truth.h"

#include <pthread.h>

static pthread_barrier_t begin, end;

static NOINLINE void leak_in_throng(void)
{
	truth_keep(malloc(truth_opaque(101)));
}

static void *live(void *argument)
{
	pthread_barrier_wait(&begin);
	leak_in_throng();
	pthread_barrier_wait(&end);
	pause();
	return argument;
}

int main(int argc, char **argv)
{
	size_t count = truth_argument(argc, argv, 1, 1000);
	pthread_attr_t attributes;
	pthread_t thread;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 65536);
	pthread_barrier_init(&begin, NULL, (unsigned int)count + 1);
	pthread_barrier_init(&end, NULL, (unsigned int)count + 1);
	for (size_t i = 0; i < count; i++)
		if (pthread_create(&thread, &attributes, live, NULL))
			return 1;
	truth_ready();
	pthread_barrier_wait(&begin);
	pthread_barrier_wait(&end);
	truth_site("leak_in_throng", 0, 101 * count, count);
	truth_done();
	return 0;
}

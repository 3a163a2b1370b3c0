/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Eight threads keep 24 bytes each. Their stacks and the arenas the allocator reserves for them are
 * not the program's allocations.
 */
#include "truth.h"

#include <pthread.h>

#define THREADS 8

static pthread_barrier_t allocated, leave;

static NOINLINE void keep_in_thread(void)
{
	truth_keep(malloc(truth_opaque(24)));
}

static void *thread(void *unused)
{
	keep_in_thread();
	pthread_barrier_wait(&allocated);
	pthread_barrier_wait(&leave);
	return unused;
}

int main(void)
{
	pthread_t threads[THREADS];

	pthread_barrier_init(&allocated, NULL, THREADS + 1);
	pthread_barrier_init(&leave, NULL, THREADS + 1);
	truth_ready();
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, thread, NULL);
	pthread_barrier_wait(&allocated);
	truth_site("keep_in_thread", 0, 24 * THREADS, THREADS);
	truth_done();
	pthread_barrier_wait(&leave);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/** One thread allocates, another frees all but a few. */
#include "truth.h"

#include <pthread.h>

#define BLOCKS 1000
#define KEPT   23

static void *blocks[BLOCKS];

static NOINLINE void allocate_for_other(void)
{
	for (int i = 0; i < BLOCKS; i++)
		blocks[i] = truth_keep(malloc(truth_opaque(101)));
}

static void *producer(void *unused)
{
	allocate_for_other();
	return unused;
}

static void *consumer(void *unused)
{
	for (int i = KEPT; i < BLOCKS; i++)
		free(blocks[i]);
	return unused;
}

int main(void)
{
	pthread_t thread;

	truth_ready();
	pthread_create(&thread, NULL, producer, NULL);
	pthread_join(thread, NULL);
	pthread_create(&thread, NULL, consumer, NULL);
	pthread_join(thread, NULL);
	truth_site("allocate_for_other", 0, 101 * KEPT, KEPT);
	truth_done();
	return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/** Starts and joins N threads (200 by default), four at a time; each leaks 16 bytes. */
#include "truth.h"

#include <pthread.h>

#define AT_ONCE 4

static NOINLINE void leak_in_short_thread(void)
{
	truth_keep(malloc(truth_opaque(16)));
}

static void *short_thread(void *unused)
{
	leak_in_short_thread();
	for (int i = 0; i < 10; i++)
		free(truth_keep(malloc(truth_opaque(48))));
	return unused;
}

int main(int argc, char **argv)
{
	size_t rounds = truth_argument(argc, argv, 1, 200) / AT_ONCE;
	pthread_t threads[AT_ONCE];

	truth_ready();
	for (size_t round = 0; round < rounds; round++) {
		for (int i = 0; i < AT_ONCE; i++)
			pthread_create(&threads[i], NULL, short_thread, NULL);
		for (int i = 0; i < AT_ONCE; i++)
			pthread_join(threads[i], NULL);
	}
	truth_site("leak_in_short_thread", 0, rounds * AT_ONCE * 16, rounds * AT_ONCE);
	truth_done();
	return 0;
}

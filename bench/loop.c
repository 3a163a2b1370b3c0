/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * The workloads of the benchmarks: each runs in rounds and prints the CPU nanoseconds of a
 * malloc+free pair for every round, on a line of its own, so that rounds with and without a tracer
 * can be told apart by time.
 *
 *     loop tight | deep | threads | thread   ROUNDS
 *
 * thread is one of the two of threads.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PAIRS       20000
#define LIVE_BLOCKS 100000
#define DEEP        19
#define PAUSE_US    1000 /* lets whoever reads the line have the core */

static void *volatile kept;
static volatile int sink;

static double now_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

__attribute__((noinline)) static void pair(size_t size)
{
	void *block = malloc(size);

	kept = block;
	free(block);
}

/* Frames between main and the pair; -fomit-frame-pointer is what -O2 does. */
__attribute__((noinline)) static void at_depth(int depth, size_t size)
{
	if (depth)
		at_depth(depth - 1, size);
	else
		pair(size);
	sink++;
}

static void rounds_of_pairs(int rounds, int depth)
{
	for (int round = 0; round < rounds; round++) {
		double start = now_ns(CLOCK_THREAD_CPUTIME_ID);

		for (int i = 0; i < PAIRS; i++)
			at_depth(depth, 64);
		printf("%.0f %.1f\n", now_ns(CLOCK_REALTIME),
		       (now_ns(CLOCK_THREAD_CPUTIME_ID) - start) / PAIRS);
		fflush(stdout);
		usleep(PAUSE_US);
	}
}

/* Keeps LIVE_BLOCKS blocks and replaces one after the other. */
static void *replace_blocks(void *context)
{
	int rounds = *(int *)context;
	void **blocks = calloc(LIVE_BLOCKS, sizeof(*blocks));
	size_t next = 0;

	for (int round = 0; round < rounds; round++) {
		double start = now_ns(CLOCK_THREAD_CPUTIME_ID);

		for (int i = 0; i < PAIRS; i++) {
			free(blocks[next]);
			blocks[next] = malloc(16 + next % 500);
			next = (next + 7919) % LIVE_BLOCKS;
		}
		printf("%.0f %.1f\n", now_ns(CLOCK_REALTIME),
		       (now_ns(CLOCK_THREAD_CPUTIME_ID) - start) / PAIRS);
		fflush(stdout);
		usleep(PAUSE_US);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	int rounds = argc > 2 ? atoi(argv[2]) : 100;
	pthread_t threads[2];

	if (argc < 2)
		return 2;
	if (!strcmp(argv[1], "threads") || !strcmp(argv[1], "thread")) {
		int count = argv[1][strlen("thread")] ? 2 : 1;

		for (int i = 0; i < count; i++)
			pthread_create(&threads[i], NULL, replace_blocks, &rounds);
		for (int i = 0; i < count; i++)
			pthread_join(threads[i], NULL);
		return 0;
	}
	rounds_of_pairs(rounds, strcmp(argv[1], "deep") ? 3 : DEEP);
	return 0;
}

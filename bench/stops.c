/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * A program of N threads (first argument) that allocate now and then, and one more that reads the
 * clock all the time while it is to watch: what stops it is a gap. A line on stdin begins a watch
 * or ends it; each is answered by the longest gap of the watch that ended, in microseconds, or by
 * -1 when that took so long that it ended by itself.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* It may be one that comes before all others, and must not take a processor from them for long. */
#define WATCH_NS 1000000000u
/* All threads together allocate about so often a second. */
#define ALLOCATIONS_S 1000

static atomic_uint_fast64_t longest_ns;
static atomic_bool is_watching, is_watched, is_over;
static unsigned int gap_us;

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void *watch(void *argument)
{
	for (;;) {
		is_watched = false;
		while (!is_watching)
			usleep(500);
		longest_ns = 0;
		is_over = false;
		is_watched = true;
		for (uint64_t last = now_ns(), end = last + WATCH_NS, now; is_watching;
		     last = now) {
			now = now_ns();
			if (now - last > longest_ns)
				longest_ns = now - last;
			is_over = now > end;
			while (is_over && is_watching)
				usleep(500);
		}
	}
	return argument;
}

static void *allocate(void *argument)
{
	for (;;) {
		void *volatile block = malloc(100);

		free(block);
		usleep(gap_us);
	}
	return argument;
}

int main(int argc, char **argv)
{
	unsigned int count = argc > 1 ? (unsigned int)atoi(argv[1]) : 1;
	pthread_attr_t small;
	pthread_t thread;

	gap_us = (count < 10 ? 10 : count) * (1000000 / ALLOCATIONS_S);
	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 65536);
	pthread_create(&thread, &small, watch, NULL);
	/* The main one and the watch are two. */
	for (unsigned int i = 2; i < count; i++)
		if (pthread_create(&thread, &small, allocate, NULL))
			return 1;
	for (int c; (c = getchar()) != EOF;) {
		if (c != '\n')
			continue;
		is_watching = !is_watching;
		while (is_watched != is_watching)
			usleep(100);
		printf("%ld\n", is_over ? -1 : (long)(longest_ns / 1000));
		fflush(stdout);
	}
	return 0;
}

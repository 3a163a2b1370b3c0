/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * A program with a leak: its thread computes a Fibonacci number a second, and every number stays
 * behind in a block of 8192 bytes that nobody frees. app_fixed.c is the same without the leak.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define NUMBERS_PER_BLOCK 1024

/** The sum of @p a and @p b in a new block. The caller owns it. */
static unsigned long long *fibonacci(unsigned long long a, unsigned long long b)
{
	unsigned long long *sum = calloc(NUMBERS_PER_BLOCK, sizeof(*sum));

	if (!sum)
		abort();
	*sum = a + b;
	return sum;
}

static void *child(void *unused)
{
	unsigned long long previous = 0, current = 1;

	for (;;) {
		unsigned long long *next = fibonacci(previous, current);

		previous = current;
		current = *next; /* here `next` is lost: the leak */
		printf("%llu\n", current);
		fflush(stdout);
		sleep(1);
	}
	return unused;
}

int main(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, child, NULL) != 0)
		return EXIT_FAILURE;
	pthread_join(thread, NULL);
	return EXIT_SUCCESS;
}

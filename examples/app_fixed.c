/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * app.c without its leak: every block is freed once its number has been read.
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
		current = *next;
		free(next);
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

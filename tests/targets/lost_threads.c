/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Ends at once with blocks that 23 threads have lost, which have ended: what their arguments,
 * results, thread-local variables and stacks pointed to. A thread that still runs at the end holds
 * a block that is not lost. With an argument the main thread ends first, by pthread_exit(), and a
 * thread ends the program.
 */
#include "truth.h"

#include <pthread.h>

#define SERIAL   16
#define TOGETHER 7

static __thread void *volatile of_thread;
static pthread_barrier_t barrier, holding;

/* Behind these nothing is left in registers or on the stack below. */
static NOINLINE void forget(void)
{
	volatile char stack[16384];

	memset((void *)stack, 0, sizeof(stack));
}

static NOINLINE void lose_three(void)
{
	for (int i = 0; i < 3; i++) {
		void *volatile block = malloc(truth_opaque(88));

		memset(block, 0, 88);
	}
}

static void *work(void *argument)
{
	void *volatile result;

	if (*(int *)argument)
		pthread_barrier_wait(&barrier);
	lose_three();
	of_thread = malloc(truth_opaque(40));
	result = malloc(truth_opaque(50));
	return result;
}

static NOINLINE void start(pthread_t *thread, int is_together)
{
	int *argument = malloc(truth_opaque(24));

	*argument = is_together;
	pthread_create(thread, NULL, work, argument);
}

static NOINLINE void run_threads(void)
{
	pthread_t threads[TOGETHER];
	void *volatile result;

	pthread_barrier_init(&barrier, NULL, TOGETHER);
	for (int i = 0; i < SERIAL; i++) {
		start(threads, 0);
		pthread_join(threads[0], (void **)&result);
	}
	for (int i = 0; i < TOGETHER; i++)
		start(&threads[i], 1);
	for (int i = 0; i < TOGETHER; i++)
		pthread_join(threads[i], (void **)&result);
}

static void *hold(void *argument)
{
	void *volatile block = malloc(truth_opaque(500));

	pthread_barrier_wait(&holding);
	if (argument) {
		pthread_join(*(pthread_t *)argument, NULL);
		exit(3);
	}
	for (;;)
		pause();
	return block;
}

int main(int argc, char **argv)
{
	static pthread_t self;
	pthread_t holder;

	self = pthread_self();
	pthread_barrier_init(&holding, NULL, 2);
	pthread_create(&holder, NULL, hold, argc > 1 ? &self : NULL);
	pthread_barrier_wait(&holding);
	run_threads();
	forget();
	if (argc > 1)
		pthread_exit(NULL);
	return 3;
}

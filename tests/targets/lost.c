/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Ends at once with blocks that can still be reached in every way there is, and, with an argument,
 * with 23 + 5 that cannot: single ones, and a ring that only points to itself. Needs nobody to let
 * it go on: for runs as a command.
 */
#include "truth.h"

#include <pthread.h>

/* The compiler must not leave out what is never used. */
#define USE(pointer) __asm__ volatile("" : : "r"(pointer) : "memory")

struct node {
	struct node *next;
	char text[40];
};

static void *global;
static struct node *list;
static char *interior;
static __thread void *of_thread;
static pthread_barrier_t barrier;

/* Behind these nothing is left in registers or on the stack below. */
static NOINLINE void forget(void)
{
	volatile char stack[16384];

	memset((void *)stack, 0, sizeof(stack));
}

static NOINLINE void lose_blocks(void)
{
	for (int i = 0; i < 23; i++)
		USE(malloc(truth_opaque(100)));
}

static NOINLINE void lose_ring(void)
{
	struct node *first = malloc(sizeof(*first)), *last = first;

	for (int i = 0; i < 4; i++) {
		last->next = malloc(sizeof(*first));
		last = last->next;
	}
	last->next = first;
	USE(first);
}

/* So that what @lose leaves on the stack is in the middle of what forget() clears. */
static NOINLINE void deeper(void (*lose)(void))
{
	volatile char stack[2048];

	stack[0] = 0;
	lose();
	stack[1] = stack[0];
}

static NOINLINE void keep_all(void)
{
	global = malloc(truth_opaque(1000));
	USE(&global);
	of_thread = malloc(truth_opaque(77));
	interior = (char *)malloc(truth_opaque(300000)) + 1234;
	for (int i = 0; i < 7; i++) {
		struct node *node = malloc(sizeof(*node));

		node->next = list;
		list = node;
	}
}

/* A thread that still runs at the end, with the only pointer on its stack. */
static void *hold(void *argument)
{
	void *volatile block = malloc(truth_opaque(500));

	pthread_barrier_wait(&barrier);
	for (;;)
		pause();
	return block;
}

int main(int argc, char **argv)
{
	pthread_t thread;

	keep_all();
	pthread_barrier_init(&barrier, NULL, 2);
	pthread_create(&thread, NULL, hold, NULL);
	pthread_barrier_wait(&barrier);
	if (argc > 1) {
		deeper(lose_blocks);
		deeper(lose_ring);
	}
	forget();
	return interior && of_thread ? 3 : 0;
}

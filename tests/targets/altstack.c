/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Allocates in a signal handler that runs on an alternate stack, once in the heap, below the stack
 * it interrupts, and once in a mapping above a thread's stack.
 */
#include "truth.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

#define STACK_BYTES (64u << 10)

static NOINLINE void leak_in_main_handler(void)
{
	truth_keep(malloc(truth_opaque(111)));
}

static NOINLINE void leak_in_thread_handler(void)
{
	truth_keep(malloc(truth_opaque(222)));
}

static void on_first(int signal)
{
	(void)signal;
	leak_in_main_handler();
}

static void on_second(int signal)
{
	(void)signal;
	leak_in_thread_handler();
}

static NOINLINE void interrupted(void *stack, int signal, void (*handler)(int))
{
	const stack_t alternate = {.ss_sp = stack, .ss_size = STACK_BYTES};
	const stack_t none = {.ss_flags = SS_DISABLE};
	struct sigaction action = {.sa_handler = handler, .sa_flags = SA_ONSTACK};

	sigaltstack(&alternate, NULL);
	sigaction(signal, &action, NULL);
	raise(signal);
	sigaltstack(&none, NULL);
}

static void *thread(void *stack)
{
	interrupted(stack, SIGUSR2, on_second);
	return NULL;
}

int main(void)
{
	const size_t bytes = 256u << 10;
	char *room = mmap(NULL, bytes + STACK_BYTES, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *heap = malloc(STACK_BYTES);
	pthread_attr_t attributes;
	pthread_t id;

	if (room == MAP_FAILED)
		return 2;
	truth_ready();
	interrupted(heap, SIGUSR1, on_first);
	truth_site("leak_in_main_handler", 0, 111, 1);
	pthread_attr_init(&attributes);
	pthread_attr_setstack(&attributes, room, bytes);
	pthread_create(&id, &attributes, thread, room + bytes);
	pthread_join(id, NULL);
	pthread_attr_destroy(&attributes);
	truth_site("leak_in_thread_handler", 0, 222, 1);
	truth_done();
	return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/** The agent's threads: wherever their memory lies, their tids are found. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "own_agent.h"

#define STACK_BYTES (256u << 10)

static uint64_t thread_pointer(void)
{
	uint64_t pointer;

	__asm__("mov %%fs:0, %0" : "=r"(pointer));
	return pointer;
}

static void allocate(uint32_t rounds)
{
	(void)rounds;
	bench_next = address_of(0, 48);
	bench_malloc(16);
	bench_free(bench_next);
}

/* The agent's record of the thread, when it is one whose struct pthread goes on in another page. */
static void *run(void *unused)
{
	uint64_t pointer = thread_pointer();

	(void)unused;
	if (pointer % ML_AGENT_PAGE + ML_AGENT_TID_GLIBC < ML_AGENT_PAGE)
		return NULL;
	bench_outermost(1, allocate);
	for (uint32_t i = 0; i < ML_AGENT_THREADS; i++)
		if (memory->threads[i].pointer == pointer)
			return &memory->threads[i];
	return NULL;
}

/* glibc puts struct pthread at the end of a stack that it is given. */
static const struct ml_agent_thread *thread_on(uint8_t *stack, size_t size)
{
	pthread_attr_t attributes;
	pthread_t thread;
	void *found;

	pthread_attr_init(&attributes);
	assert_int_equal(pthread_attr_setstack(&attributes, stack, size), 0);
	assert_int_equal(pthread_create(&thread, &attributes, run, NULL), 0);
	pthread_join(thread, &found);
	pthread_attr_destroy(&attributes);
	return found;
}

static void test_tid_in_the_next_page(void **state)
{
	uint8_t *stack =
		mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const struct ml_agent_thread *thread = NULL;

	(void)state;
	assert_ptr_not_equal(stack, MAP_FAILED);
	for (uint32_t gap = 0; gap < ML_AGENT_PAGE && !thread; gap += 64)
		thread = thread_on(stack, STACK_BYTES - gap);
	assert_non_null(thread);
	assert_int_equal(thread->tid_offset, ML_AGENT_TID_GLIBC);
	assert_int_not_equal(thread->tid_number, 0);
	munmap(stack, STACK_BYTES);
}

static int set_up(void **state)
{
	(void)state;
	return begin();
}

static int tear_down(void **state)
{
	(void)state;
	return unload();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_tid_in_the_next_page, set_up, tear_down),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

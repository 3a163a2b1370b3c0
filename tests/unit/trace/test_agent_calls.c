/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/agent_calls.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

/* An agent's memory, written by hand, and what the tool makes of it. */
struct fixture {
	struct ml_agent_memory *memory;
	struct ml_agent_calls calls;
	struct ml_function_names functions;
	struct ml_process *process;
	uint64_t sizes[16];
	size_t taken;
	struct ml_traced_call last;
};

static int set_up(void **state)
{
	struct fixture *fixture = ml_alloc(sizeof(*fixture));

	fixture->memory = mmap(NULL, sizeof(*fixture->memory), PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_ptr_not_equal(fixture->memory, MAP_FAILED);
	ml_function_names_id(&fixture->functions, "malloc");
	assert_null(ml_process_open(getpid(), &fixture->process));
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	munmap(fixture->memory, sizeof(*fixture->memory));
	ml_agent_calls_deinit(&fixture->calls);
	ml_function_names_deinit(&fixture->functions);
	ml_process_close(fixture->process);
	free(fixture);
	return 0;
}

static void take(void *context, const struct ml_traced_call *call)
{
	struct fixture *fixture = context;

	if (fixture->taken < 16)
		fixture->sizes[fixture->taken] = call->size;
	fixture->taken++;
	fixture->last = *call;
}

static void read_all(struct fixture *fixture, bool has_memory)
{
	const struct ml_agent_call_sink sink = {.take = take,
						.context = fixture,
						.functions = &fixture->functions,
						.process = fixture->process,
						.pid = getpid()};

	ml_agent_calls_read(&fixture->calls, has_memory ? fixture->memory : NULL, &sink);
}

static void write_event(struct fixture *fixture, uint64_t number, uint64_t size)
{
	fixture->memory->call_events[number % ML_AGENT_CALL_EVENTS] =
		(struct ml_agent_call_event){.sequence = number + 1,
					     .size = size,
					     .tid = (uint32_t)getpid(),
					     .role = ML_ROLE_MALLOC};
	if (fixture->memory->call_event_head <= number)
		fixture->memory->call_event_head = number + 1;
}

static void calls_come_in_order(void **state)
{
	struct fixture *fixture = *state;

	for (uint64_t i = 0; i < 5; i++)
		write_event(fixture, i, 100 + i);
	read_all(fixture, true);
	assert_int_equal(fixture->taken, 5);
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(fixture->sizes[i], 100 + i);
	assert_int_equal(fixture->memory->call_event_tail, 5);
	assert_string_equal(fixture->last.function, "malloc");
	assert_int_equal(fixture->last.tid, getpid());
	assert_memory_equal(fixture->last.comm, "test_", 5);
}

static void one_being_written_is_waited_for(void **state)
{
	struct fixture *fixture = *state;

	write_event(fixture, 0, 100);
	write_event(fixture, 2, 102);
	read_all(fixture, true);
	assert_int_equal(fixture->taken, 1);
	write_event(fixture, 1, 101);
	read_all(fixture, true);
	assert_int_equal(fixture->taken, 3);
	assert_int_equal(fixture->sizes[1], 101);
	assert_int_equal(fixture->memory->counters[ML_COUNTER_CALL_EVENTS_LOST], 0);
}

static void one_never_written_is_passed_over(void **state)
{
	struct fixture *fixture = *state;

	write_event(fixture, 1, 101);
	read_all(fixture, true);
	assert_int_equal(fixture->taken, 0);
	assert_int_not_equal(fixture->calls.stuck_ns, 0);
	fixture->calls.stuck_ns = 1; /* long ago */
	read_all(fixture, true);
	assert_int_equal(fixture->taken, 1);
	assert_int_equal(fixture->memory->counters[ML_COUNTER_CALL_EVENTS_LOST], 1);
}

static void what_is_left_is_kept(void **state)
{
	struct fixture *fixture = *state;

	write_event(fixture, 0, 100);
	write_event(fixture, 2, 102);
	ml_agent_calls_keep(&fixture->calls, fixture->memory, fixture->process);
	assert_int_equal(fixture->memory->counters[ML_COUNTER_CALL_EVENTS_LOST], 1);
	read_all(fixture, false);
	assert_int_equal(fixture->taken, 2);
	assert_int_equal(fixture->sizes[1], 102);
	read_all(fixture, false);
	assert_int_equal(fixture->taken, 2);
}

static void numbers_that_cannot_be_do_no_harm(void **state)
{
	struct fixture *fixture = *state;

	fixture->memory->call_event_head = UINT64_MAX - 3;
	fixture->memory->call_event_tail = 77;
	read_all(fixture, true);
	assert_int_equal(fixture->taken, 0);
	ml_agent_calls_keep(&fixture->calls, fixture->memory, fixture->process);
	write_event(fixture, 0, 100);
	fixture->memory->call_event_head = 1;
	fixture->memory->call_events[0].function = 4711;
	fixture->memory->call_events[0].role = 4711;
	read_all(fixture, true);
	assert_int_equal(fixture->taken, 1);
	assert_string_equal(fixture->last.function, "?");
	assert_int_equal(fixture->last.role, ML_ROLE_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(calls_come_in_order, set_up, tear_down),
		cmocka_unit_test_setup_teardown(one_being_written_is_waited_for, set_up, tear_down),
		cmocka_unit_test_setup_teardown(one_never_written_is_passed_over, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(what_is_left_is_kept, set_up, tear_down),
		cmocka_unit_test_setup_teardown(numbers_that_cannot_be_do_no_harm, set_up,
						tear_down),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

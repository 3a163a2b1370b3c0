/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/stack_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define LOOP_START 0x5000
#define LOOP_END   0x6000
#define BIAS       0x100000

/* A process with one module, whose eval loop is known; the module is never looked into. */
struct fixture {
	struct ml_code code;
	struct ml_code_map map;
	struct ml_python python;
	struct ml_python_stack stack;
	struct ml_stack_record record;
	struct ml_stack_store *store;
};

static int set_up(void **state)
{
	struct fixture *fixture = ml_alloc(sizeof(*fixture));
	struct ml_module *module = (struct ml_module *)fixture;

	fixture->code = (struct ml_code){.start = BIAS,
					 .end = BIAS + 0x10000,
					 .bias = BIAS,
					 .module = module,
					 .is_mapped = true};
	fixture->map.list.items = &fixture->code;
	fixture->map.list.count = fixture->map.mapped_count = 1;
	fixture->python = (struct ml_python){
		.module = module, .loop_start = LOOP_START, .loop_end = LOOP_END};
	fixture->store = ml_stack_store_create();
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	ml_stack_store_destroy(fixture->store);
	free(fixture);
	return 0;
}

static void add_native(struct fixture *fixture, uint64_t address)
{
	fixture->record.ip[fixture->record.count++] = BIAS + address;
}

/* Names the functions of a process that is gone: only their order matters here. */
static const struct ml_stack *put(struct fixture *fixture, const struct ml_python_record *python)
{
	ml_python_stack_name(python, &fixture->python, NULL, NULL, &fixture->stack);
	return ml_stack_store_add(fixture->store, 7, &fixture->record, &fixture->map, NULL,
				  &fixture->stack);
}

static void assert_ips(const struct ml_stack *stack, const uint64_t *ips, size_t count)
{
	assert_int_equal(stack->count, count);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(stack->frames[i].ip, ips[i]);
}

#define BEGINS ML_PYTHON_LOOP_BEGINS

static void functions_stand_before_their_loop(void **state)
{
	struct fixture *fixture = *state;
	const struct ml_python_record python = {
		.frame = {{0x10, 1}, {0x20 | BEGINS, 2}, {0x30, 3}, {0x40 | BEGINS, 4}}};
	const uint64_t ips[] = {BIAS + 0x100, 1, 2, BIAS + LOOP_START + 1,
				BIAS + 0x200, 3, 4, BIAS + LOOP_END,
				BIAS + 0x300};

	add_native(fixture, 0x100);
	add_native(fixture, LOOP_START + 1);
	add_native(fixture, 0x200);
	add_native(fixture, LOOP_END); /* a return address: its call is in the loop */
	add_native(fixture, 0x300);

	const struct ml_stack *stack = put(fixture, &python);

	assert_ips(stack, ips, 9);
	assert_int_equal(stack->frames[1].kind, ML_FRAME_PYTHON);
	assert_int_equal(stack->frames[3].kind, ML_FRAME_NATIVE);
	assert_true(stack->frames[3].is_interpreter);
	assert_true(stack->frames[7].is_interpreter);
	assert_false(stack->frames[8].is_interpreter);
}

static void functions_beyond_the_native_walk_come_last(void **state)
{
	struct fixture *fixture = *state;
	const struct ml_python_record python = {.frame = {{0x10 | BEGINS, 1}, {0x20, 2}}};
	const uint64_t ips[] = {BIAS + 0x100, 1, BIAS + LOOP_START + 8, 2};

	add_native(fixture, 0x100);
	add_native(fixture, LOOP_START + 8);
	assert_ips(put(fixture, &python), ips, 4);
}

static void loops_without_a_function_stay_native(void **state)
{
	struct fixture *fixture = *state;
	const struct ml_python_record python = {.frame = {{0x10 | BEGINS, 1}}};
	const uint64_t ips[] = {1, BIAS + LOOP_START + 8, BIAS + LOOP_START + 9};

	add_native(fixture, LOOP_START + 8);
	add_native(fixture, LOOP_START + 9);

	const struct ml_stack *stack = put(fixture, &python);

	assert_ips(stack, ips, 3);
	assert_false(stack->frames[2].is_interpreter);
}

static void takes_the_deepest_record(void **state)
{
	struct fixture *fixture = *state;
	struct ml_python_record python;

	for (size_t i = 0; i < ML_PYTHON_DEPTH; i++)
		python.frame[i] = (struct ml_python_frame){.code = 0x10, .instruction = i + 1};
	for (size_t i = 0; i < ML_STACK_DEPTH; i++)
		add_native(fixture, LOOP_START + 8);

	const struct ml_stack *stack = put(fixture, &python);

	assert_int_equal(stack->count, ML_PYTHON_DEPTH + ML_STACK_DEPTH);
	assert_int_equal(stack->frames[0].ip, 1);
	assert_int_equal(stack->frames[ML_PYTHON_DEPTH - 1].ip, ML_PYTHON_DEPTH);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(functions_stand_before_their_loop),
		TEST(functions_beyond_the_native_walk_come_last),
		TEST(loops_without_a_function_stay_native),
		TEST(takes_the_deepest_record),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "fake_memory.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdlib.h>

#define ML_UNWIND_READ(memory, address, out)        (!fake_read(memory, address, out, 8))
#define ML_JAVA_READ(memory, buffer, size, address) (!fake_read(memory, address, buffer, size))
#include "shared/java_step.h"

#define STACK       (FAKE_ADDRESS + 0x8000)
#define CODE        (FAKE_ADDRESS + 0x10000)
#define CODE_END    (CODE + 0x10000)
#define SEGMENTS    (FAKE_ADDRESS + 0x20000)
#define SHIFT       7
#define INTERPRETER (CODE + 0x8000)
#define METHOD      (FAKE_ADDRESS + 0x30000)
#define CONST       (FAKE_ADDRESS + 0x30100)
#define HEADER      8
#define BLOB        (CODE + 0x400 + HEADER)
#define BLOB_CODE   0x40

struct fixture {
	struct fake_memory memory;
	struct ml_java_layout java;
	struct ml_java_step step;
};

static void put(struct fixture *fixture, uint64_t address, uint64_t value)
{
	fake_put(&fixture->memory, address, value, 8);
}

/* A piece of code of 0x300 bytes in the middle of a heap, with frames of @words. */
static void put_blob(struct fixture *fixture, int32_t words)
{
	for (uint64_t i = 0; i < 6; i++)
		fake_put(&fixture->memory, SEGMENTS + (0x400 >> SHIFT) + i, i > 3 ? 2 : i, 1);
	fake_put(&fixture->memory, BLOB + fixture->java.frame_size, (uint32_t)words, 4);
	fake_put(&fixture->memory, BLOB + fixture->java.code_start, BLOB_CODE, 4);
	fake_put(&fixture->memory, BLOB + fixture->java.frame_complete, 12, 2);
	fake_put(&fixture->memory, BLOB + fixture->java.compilation, 0x12345, 4);
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	memset(fixture->memory.bytes + (SEGMENTS - FAKE_ADDRESS), 255, 0x10000 >> SHIFT);
	fixture->java = (struct ml_java_layout){
		.start = CODE,
		.end = CODE_END,
		.interpreter_start = INTERPRETER,
		.interpreter_end = CODE_END,
		.heap_count = 1,
		.block_header = HEADER,
		.frame_size = 0,
		.code_start = 4,
		.is_code_offset = 1,
		.frame_complete = 8,
		.is_complete_short = 1,
		.compilation = 12,
		.const_method = 8,
		.bytecode = 56,
		.bytecode_slot = -64,
	};
	fixture->java.heaps[2] = (struct ml_java_heap){
		.start = CODE, .end = CODE_END, .segments = SEGMENTS, .segment_shift = SHIFT};
	put_blob(fixture, 6);
	fixture->step.regs = (struct ml_unwind_regs){
		.ip = BLOB + BLOB_CODE + 100, .sp = STACK, .bp = 0x1234, .is_call = 1};
	fixture->step.entry = fixture->step.regs.ip;
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	free(*state);
	return 0;
}

static enum ml_walk_end step(struct fixture *fixture)
{
	return ml_java_step(&fixture->java, &fixture->step, &fixture->memory);
}

/* The frame's last two words: the caller's rbp and the return address. */
static void put_end(struct fixture *fixture, uint64_t cfa)
{
	put(fixture, cfa - 16, STACK + 0x777);
	put(fixture, cfa - 8, 0x401234);
}

static void assert_caller(const struct fixture *fixture, uint64_t sp, uint64_t bp)
{
	assert_int_equal(fixture->step.regs.ip, 0x401234);
	assert_int_equal(fixture->step.regs.sp, sp);
	assert_int_equal(fixture->step.regs.bp, bp);
	assert_int_equal(fixture->step.regs.is_call, 1);
}

static void goes_through_a_compiled_frame_by_its_size(void **state)
{
	struct fixture *fixture = *state;
	uint64_t ip = fixture->step.regs.ip;

	put_end(fixture, STACK + 48);
	assert_int_equal(step(fixture), ML_WALK_MORE);
	assert_caller(fixture, STACK + 48, STACK + 0x777);
	assert_int_equal(fixture->step.entry & ML_STACK_ADDRESS_MASK, ip);
	assert_true(fixture->step.entry & ML_STACK_JAVA_COMPILED);
	assert_int_equal(ML_JAVA_COMPILATION(fixture->step.entry), 0x345);
}

static void finds_code_from_each_of_its_segments(void **state)
{
	struct fixture *fixture = *state;

	for (uint64_t ip = BLOB; ip < CODE + 0x700; ip += 16)
		assert_int_equal(ml_java_blob(&fixture->java, ip, &fixture->memory), BLOB);
	assert_int_equal(ml_java_blob(&fixture->java, CODE + 0x700, &fixture->memory), 0);
	assert_int_equal(ml_java_blob(&fixture->java, CODE + 0x3ff, &fixture->memory), 0);
	assert_int_equal(ml_java_blob(&fixture->java, CODE_END, &fixture->memory), 0);
	assert_int_equal(ml_java_blob(&fixture->java, CODE - 1, &fixture->memory), 0);
}

static void believes_no_broken_segment_map(void **state)
{
	struct fixture *fixture = *state;

	/* Further back than the start. */
	fake_put(&fixture->memory, SEGMENTS + 2, 3, 1);
	assert_int_equal(ml_java_blob(&fixture->java, CODE + 0x100, &fixture->memory), 0);
	/* More hops than are made. */
	for (uint64_t i = 0; i < 200; i++)
		fake_put(&fixture->memory, SEGMENTS + i, 1, 1);
	assert_int_equal(ml_java_blob(&fixture->java, CODE + (199 << SHIFT), &fixture->memory), 0);
	/* Not there at all. */
	fixture->java.heaps[2].segments = 16;
	assert_int_equal(step(fixture), ML_WALK_NO_UNWIND_INFO);
}

static void refuses_wild_frame_sizes(void **state)
{
	struct fixture *fixture = *state;

	put_blob(fixture, INT32_MAX);
	assert_int_equal(step(fixture), ML_WALK_NO_UNWIND_INFO);
	put_blob(fixture, ML_JAVA_FRAME_WORDS);
	assert_int_equal(step(fixture), ML_WALK_FAULT);
}

static void follows_the_frame_pointer_through_stubs(void **state)
{
	struct fixture *fixture = *state;

	put_blob(fixture, 0);
	fixture->step.regs.bp = STACK + 0x60;
	put_end(fixture, STACK + 0x70);
	assert_int_equal(step(fixture), ML_WALK_MORE);
	assert_caller(fixture, STACK + 0x70, STACK + 0x777);
	assert_int_equal(fixture->step.entry, BLOB + BLOB_CODE + 100);
}

static void knows_where_a_signal_interrupted(void **state)
{
	struct fixture *fixture = *state;
	const struct {
		uint64_t ip, words;
		uint8_t code;
	} cases[] = {
		{BLOB + BLOB_CODE + 4, 1, 0x90},  /* before the frame is there */
		{BLOB + BLOB_CODE + 64, 2, 0x5d}, /* pop rbp */
		{BLOB + BLOB_CODE + 65, 1, 0xc3}, /* ret */
		{BLOB + BLOB_CODE + 66, 6, 0x90},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		uint64_t cfa = STACK + cases[i].words * 8;

		fixture->step.regs = (struct ml_unwind_regs){
			.ip = cases[i].ip, .sp = STACK, .bp = STACK + 0x555};
		fake_put(&fixture->memory, cases[i].ip, cases[i].code, 1);
		put_end(fixture, cfa);
		assert_int_equal(step(fixture), ML_WALK_MORE);
		assert_caller(fixture, cfa, STACK + (cases[i].words > 1 ? 0x777 : 0x555));
	}
}

/* A frame of the interpreter at rbp, at bytecode @bci of METHOD. */
static void put_interpreted(struct fixture *fixture, uint64_t bp, uint64_t bci)
{
	fixture->step.regs.ip = INTERPRETER + 0x100;
	fixture->step.regs.bp = bp;
	fixture->step.entry = fixture->step.regs.ip;
	put(fixture, METHOD + 8, CONST);
	put(fixture, bp - 64, CONST + 56 + bci);
	put(fixture, bp - 24, METHOD);
	put(fixture, bp - 8, bp + 0x40);
	put_end(fixture, bp + 16);
}

static void keeps_method_and_bytecode_of_the_interpreter(void **state)
{
	struct fixture *fixture = *state;

	put_interpreted(fixture, STACK + 0x100, 77);
	assert_int_equal(step(fixture), ML_WALK_MORE);
	assert_caller(fixture, STACK + 0x140, STACK + 0x777);
	assert_int_equal(fixture->step.entry, ML_JAVA_INTERPRETED_ENTRY(METHOD, 77));
	assert_int_equal(ML_JAVA_METHOD(fixture->step.entry), METHOD);
	assert_int_equal(ML_JAVA_BCI(fixture->step.entry), 77);
}

static void finds_an_interpreter_made_later(void **state)
{
	struct fixture *fixture = *state;
	uint64_t queue = FAKE_ADDRESS + 0x38000;

	fixture->java.interpreter_start = fixture->java.interpreter_end = 0;
	fixture->java.interpreter = queue - 8;
	fixture->java.stubs_start = 8;
	fixture->java.stubs_size = 20;
	put(fixture, queue + 8, INTERPRETER);
	fake_put(&fixture->memory, queue + 20, 0x1000, 4);
	put_interpreted(fixture, STACK + 0x100, 1);
	assert_int_equal(step(fixture), ML_WALK_NO_UNWIND_INFO); /* not there yet */
	put(fixture, queue - 8, queue);
	assert_int_equal(step(fixture), ML_WALK_MORE);
	assert_int_equal(ML_JAVA_BCI(fixture->step.entry), 1);
}

static void believes_no_wild_interpreter_frame(void **state)
{
	struct fixture *fixture = *state;
	uint64_t bp = STACK + 0x100;

	put_interpreted(fixture, bp, 70000); /* no method has so much bytecode */
	put(fixture, bp - 8, STACK - 8);     /* the caller's rsp below ours */
	assert_int_equal(step(fixture), ML_WALK_MORE);
	assert_caller(fixture, bp + 16, STACK + 0x777);
	assert_int_equal(ML_JAVA_BCI(fixture->step.entry), ML_JAVA_BCI_UNKNOWN);

	fixture->step.regs.sp = STACK;
	put_interpreted(fixture, bp, 1);
	put(fixture, bp - 24, METHOD + 4);
	assert_int_equal(step(fixture), ML_WALK_MORE);
	assert_int_equal(fixture->step.entry, INTERPRETER + 0x100);

	fixture->step.regs = (struct ml_unwind_regs){
		.ip = INTERPRETER + 1, .sp = STACK, .bp = STACK - 8, .is_call = 1};
	assert_int_equal(step(fixture), ML_WALK_NO_UNWIND_INFO);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(goes_through_a_compiled_frame_by_its_size),
		TEST(finds_code_from_each_of_its_segments),
		TEST(believes_no_broken_segment_map),
		TEST(refuses_wild_frame_sizes),
		TEST(follows_the_frame_pointer_through_stubs),
		TEST(knows_where_a_signal_interrupted),
		TEST(keeps_method_and_bytecode_of_the_interpreter),
		TEST(finds_an_interpreter_made_later),
		TEST(believes_no_wild_interpreter_frame),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/** The step function on stacks made by hand: every rule, every end. */
#include "unwind/walk.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define STACK_ADDRESS 0x7000000
#define STACK_WORDS   64
#define CODE_ADDRESS  0x100000

/** Memory: a stack; everything else faults. */
struct stack {
	uint64_t words[STACK_WORDS];
};

static int stack_read(void *context, uint64_t address, uint64_t *word)
{
	const struct stack *stack = context;
	uint64_t offset = address - STACK_ADDRESS;

	if (offset % 8 || offset / 8 >= STACK_WORDS)
		return 1;
	*word = stack->words[offset / 8];
	return 0;
}

static uint64_t at(size_t word)
{
	return STACK_ADDRESS + 8 * word;
}

/* Code: each row covers 16 bytes, the first at CODE_ADDRESS. */
struct scene {
	struct stack stack;
	struct ml_unwind_row rows[4];
	size_t count;
	uint64_t frames[16];
	size_t frame_count;
};

static uint64_t in_row(size_t row)
{
	return CODE_ADDRESS + 16 * row + 8;
}

static enum ml_walk_end walk(struct scene *scene, uint64_t sp, uint64_t bp, size_t limit)
{
	uint32_t pages[] = {0, (uint32_t)scene->count};
	const struct ml_unwind_rows rows = {
		.rows = scene->rows, .count = scene->count, .pages = pages, .page_count = 1};
	const struct ml_walk_module module = {.start = CODE_ADDRESS,
					      .end = CODE_ADDRESS + 0x1000,
					      .bias = CODE_ADDRESS,
					      .rows = &rows};
	const struct ml_walk_memory memory = {.read = stack_read, .context = &scene->stack};
	const struct ml_walk_start start = {.ip = in_row(0), .sp = sp, .bp = bp};
	enum ml_walk_end end;

	for (size_t i = 0; i < scene->count; i++)
		scene->rows[i].pc = 16 * (uint32_t)i;
	scene->frame_count = ml_walk(&module, 1, &memory, &start, scene->frames, limit, &end);
	return end;
}

static void test_each_rule_reaches_the_caller(void **state)
{
	static const struct {
		struct ml_unwind_row row;
		uint64_t bp;
		size_t words[4]; /* index, value, index, value: addresses the rule reads */
		size_t cfa;      /* word where the CFA is */
	} rules[] = {
		{{.rules = ML_CFA_RSP, .cfa_words = 3}, 0, {0}, 3},
		{{.rules = ML_CFA_RBP, .cfa_words = 2}, 6, {0}, 8},
		{{.rules = ML_CFA_DEREF_RBP, .cfa_words = ML_DEREF_WORDS(-1, 0)}, 6, {5, 20}, 20},
		{{.rules = ML_CFA_DEREF_RSP, .cfa_words = ML_DEREF_WORDS(5, 1)}, 0, {5, 20}, 21},
		/* the fixture's ip is at byte 8 of its 16 */
		{{.rules = ML_CFA_PLT, .cfa_words = 11}, 0, {0}, 1},
		{{.rules = ML_CFA_PLT, .cfa_words = 5}, 0, {0}, 2},
	};

	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		struct scene scene = {.rows = {rules[i].row, {.rules = ML_CFA_END}}, .count = 2};

		if (rules[i].words[0])
			scene.stack.words[rules[i].words[0]] = at(rules[i].words[1]);
		scene.stack.words[rules[i].cfa - 1] = in_row(1);
		assert_int_equal(walk(&scene, at(0), at(rules[i].bp), 16), ML_WALK_COMPLETE);
		assert_int_equal(scene.frame_count, 2);
		assert_int_equal(scene.frames[0], in_row(0));
		assert_int_equal(scene.frames[1], in_row(1));
	}
}

/** The caller needs rbp: its frame is right only if the rule for rbp was followed. */
static void rbp_check(uint32_t rbp_rule, int rbp_words, size_t word, enum ml_walk_end expected)
{
	struct scene scene = {.rows = {{.rules = (uint8_t)(ML_CFA_RSP | rbp_rule << 4),
					.cfa_words = 4,
					.rbp_words = (int8_t)rbp_words},
				       {.rules = ML_CFA_RBP, .cfa_words = 2},
				       {.rules = ML_CFA_END}},
			      .count = 3};

	if (word)
		scene.stack.words[word] = at(10);
	scene.stack.words[3] = in_row(1);
	scene.stack.words[11] = in_row(2);
	assert_int_equal(walk(&scene, at(0), rbp_rule == ML_RBP_RBP ? at(20) : at(10), 16),
			 expected);
}

static void test_rbp_rules(void **state)
{
	rbp_check(ML_RBP_SAME, 0, 0, ML_WALK_COMPLETE);
	rbp_check(ML_RBP_CFA, -2, 2, ML_WALK_COMPLETE);
	rbp_check(ML_RBP_RBP, -1, 19, ML_WALK_COMPLETE);
	rbp_check(ML_RBP_UNDEF, 0, 0, ML_WALK_NO_UNWIND_INFO);
}

/** A frame found by rbx, which its callee saved (or not) in the ways a row can tell. */
static void rbx_check(struct ml_unwind_row callee, size_t word, enum ml_walk_end expected)
{
	struct scene scene = {
		.rows = {callee, {.rules = ML_CFA_RBX, .cfa_words = 2}, {.rules = ML_CFA_END}},
		.count = 3};

	scene.stack.words[4 - 1] = in_row(1);
	scene.stack.words[word] = at(20);
	scene.stack.words[22 - 1] = in_row(2);
	assert_int_equal(walk(&scene, at(0), 0, 16), expected);
	assert_int_equal(scene.frame_count, expected == ML_WALK_COMPLETE ? 3 : 2);
}

static void test_frame_found_by_rbx(void **state)
{
	struct ml_unwind_row row = {.cfa_words = 4};

	row.rbp_words = -3;
	row.rules = ML_ROW_RULES(ML_CFA_RSP, ML_RBP_SAME, ML_RBX_CFA);
	rbx_check(row, 1, ML_WALK_COMPLETE);
	row.rules = ML_ROW_RULES(ML_CFA_RSP, ML_RBP_CFA, ML_RBX_BELOW_RBP);
	rbx_check(row, 0, ML_WALK_COMPLETE);
	row.rbp_words = -4;
	row.rules = ML_ROW_RULES(ML_CFA_RSP, ML_RBP_CFA, ML_RBX_CFA);
	rbx_check(row, 0, ML_WALK_COMPLETE);
	row.rules = ML_ROW_RULES(ML_CFA_RSP, ML_RBP_SAME, ML_RBX_LOST);
	rbx_check(row, 0, ML_WALK_NO_UNWIND_INFO);
	/* never saved: the register itself, which is 0 here */
	row.rules = ML_CFA_RSP;
	rbx_check(row, 0, ML_WALK_NO_UNWIND_INFO);
}

/** A frame of more than 1 MiB. */
static void test_far_frame(void **state)
{
	struct scene scene = {.rows = {{.rules = ML_CFA_RSP_FAR + 1, .cfa_words = -0x7000},
				       {.rules = ML_CFA_END}},
			      .count = 2};
	const uint64_t distance = (0x10000 + 0x9000) * ML_FAR_UNIT;

	scene.stack.words[5] = in_row(1);
	assert_int_equal(walk(&scene, at(6) - distance, 0, 16), ML_WALK_COMPLETE);
	assert_int_equal(scene.frame_count, 2);
}

/** asmcgocall(): from the thread's stack back to a goroutine's, which may lie below. */
static void test_stack_of_a_goroutine(void **state)
{
	struct scene scene = {.rows = {{.rules = ML_CFA_GO_STACK}, {.rules = ML_CFA_END}},
			      .count = 2};

	scene.stack.words[40 + ML_GO_DEPTH / 8] = 8 * 6; /* six words are in use … */
	scene.stack.words[40 + ML_GO_ROUTINE / 8] = at(20);
	scene.stack.words[20 + ML_GO_STACK_TOP / 8] = at(16); /* … below word 16 */
	scene.stack.words[10] = in_row(1);
	assert_int_equal(walk(&scene, at(40), 0, 16), ML_WALK_COMPLETE);
	assert_int_equal(scene.frame_count, 2);
	scene.stack.words[40 + ML_GO_ROUTINE / 8] = 0;
	assert_int_equal(walk(&scene, at(40), 0, 16), ML_WALK_FAULT);
}

static void test_return_address_zero_is_the_end(void **state)
{
	struct scene scene = {.rows = {{.rules = ML_CFA_RSP, .cfa_words = 1}}, .count = 1};

	assert_int_equal(walk(&scene, at(0), 0, 16), ML_WALK_COMPLETE);
	assert_int_equal(scene.frame_count, 1);
}

static void test_signal_frame(void **state)
{
	struct scene scene = {.rows = {{.rules = ML_CFA_SIGNAL}, {.rules = ML_CFA_END}},
			      .count = 2};

	/* interrupted at the first byte of a row: no call before it */
	scene.stack.words[ML_SIGNAL_RIP / 8] = CODE_ADDRESS + 16;
	scene.stack.words[ML_SIGNAL_RSP / 8] = at(2);
	assert_int_equal(walk(&scene, at(0), 0, 16), ML_WALK_COMPLETE);
	assert_int_equal(scene.frame_count, 2);
	assert_int_equal(walk(&scene, at(STACK_WORDS - 4), 0, 16), ML_WALK_FAULT);
}

static void test_a_call_that_ends_a_function_belongs_to_it(void **state)
{
	struct scene scene = {.rows = {{.rules = ML_CFA_RSP, .cfa_words = 1},
				       {.rules = ML_CFA_END},
				       {.rules = ML_CFA_BAD}},
			      .count = 3};

	scene.stack.words[0] = CODE_ADDRESS + 32; /* behind a call of a noreturn function */
	assert_int_equal(walk(&scene, at(0), 0, 16), ML_WALK_COMPLETE);
}

static void test_broken_chains(void **state)
{
	static const struct {
		struct ml_unwind_row row;
		uint64_t sp;
		uint64_t bp;
		enum ml_walk_end end;
	} chains[] = {
		{{.rules = ML_CFA_BAD}, STACK_ADDRESS, 0, ML_WALK_NO_UNWIND_INFO},
		{{.rules = ML_CFA_RSP}, STACK_ADDRESS, 0, ML_WALK_NO_UNWIND_INFO}, /* not rising */
		{{.rules = ML_CFA_RBP, .cfa_words = 2}, STACK_ADDRESS, 0, ML_WALK_NO_UNWIND_INFO},
		{{.rules = ML_CFA_RSP, .cfa_words = 1},
		 STACK_ADDRESS + 4,
		 0,
		 ML_WALK_NO_UNWIND_INFO}, /* crooked */
		{{.rules = ML_CFA_RSP, .cfa_words = 1000}, STACK_ADDRESS, 0, ML_WALK_FAULT},
		{{.rules = ML_CFA_DEREF_RBP}, STACK_ADDRESS, 8, ML_WALK_FAULT},
	};

	for (size_t i = 0; i < sizeof(chains) / sizeof(chains[0]); i++) {
		struct scene scene = {.rows = {chains[i].row}, .count = 1};

		memset(scene.stack.words, 0x11, sizeof(scene.stack.words));
		assert_int_equal(walk(&scene, chains[i].sp, chains[i].bp, 16), chains[i].end);
		assert_int_equal(scene.frame_count, 1);
	}
}

static void test_depth_limit(void **state)
{
	struct scene scene = {.rows = {{.rules = ML_CFA_RSP, .cfa_words = 1}}, .count = 1};

	for (size_t i = 0; i < STACK_WORDS; i++)
		scene.stack.words[i] = in_row(0);
	assert_int_equal(walk(&scene, at(0), 0, 5), ML_WALK_DEPTH);
	assert_int_equal(scene.frame_count, 5);
	assert_int_equal(walk(&scene, at(60), 0, 16), ML_WALK_FAULT);
	assert_int_equal(scene.frame_count, 5);
}

static void test_code_without_rows_follows_frame_pointers(void **state)
{
	struct scene scene = {.rows = {{.rules = ML_CFA_NONE}, {.rules = ML_CFA_END}}, .count = 2};

	scene.stack.words[4] = at(8); /* [rbp]: the caller's rbp, [rbp + 8]: return address */
	scene.stack.words[5] = 0x900000;
	scene.stack.words[8] = 0;
	scene.stack.words[9] = in_row(1);
	assert_int_equal(walk(&scene, at(0), at(4), 16), ML_WALK_COMPLETE);
	assert_int_equal(scene.frame_count, 3);
	assert_int_equal(scene.frames[1], 0x900000);
	/* not a frame pointer: below rsp, crooked, far away, in front of zeroes */
	assert_int_equal(walk(&scene, at(6), at(4), 16), ML_WALK_NO_UNWIND_INFO);
	assert_int_equal(walk(&scene, at(0), at(4) + 1, 16), ML_WALK_NO_UNWIND_INFO);
	assert_int_equal(walk(&scene, at(0), at(4) + (2 << 20), 16), ML_WALK_NO_UNWIND_INFO);
	assert_int_equal(walk(&scene, at(0), at(20), 16), ML_WALK_NO_UNWIND_INFO);
	assert_int_equal(walk(&scene, at(0), at(STACK_WORDS), 16), ML_WALK_FAULT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_rule_reaches_the_caller),
		cmocka_unit_test(test_rbp_rules),
		cmocka_unit_test(test_frame_found_by_rbx),
		cmocka_unit_test(test_far_frame),
		cmocka_unit_test(test_stack_of_a_goroutine),
		cmocka_unit_test(test_return_address_zero_is_the_end),
		cmocka_unit_test(test_signal_frame),
		cmocka_unit_test(test_a_call_that_ends_a_function_belongs_to_it),
		cmocka_unit_test(test_broken_chains),
		cmocka_unit_test(test_depth_limit),
		cmocka_unit_test(test_code_without_rows_follows_frame_pointers),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

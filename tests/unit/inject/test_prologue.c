/* SPDX-License-Identifier: BSD-2-Clause */
#include "inject/prologue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#define FROM 0x10000000ull
#define TO   0x10100000ull

static int32_t word_at(const uint8_t *bytes)
{
	int32_t word;

	memcpy(&word, bytes, sizeof(word));
	return word;
}

/* What a jump at the end of the moved code leads to. */
static uint64_t end_of(const struct ml_prologue *moved)
{
	assert_int_equal(moved->code[moved->code_size - 5], 0xe9);
	return TO + moved->code_size +
	       (uint64_t)(int64_t)word_at(moved->code + moved->code_size - 4);
}

static struct ml_prologue move(const uint8_t *bytes, size_t size)
{
	struct ml_prologue moved;
	struct ml_error *error = ml_prologue_move(bytes, size, FROM, TO, &moved);

	assert_null(error);
	return moved;
}

static void refuses(const uint8_t *bytes, size_t size)
{
	struct ml_prologue moved;
	struct ml_error *error = ml_prologue_move(bytes, size, FROM, TO, &moved);

	assert_non_null(error);
	assert_int_equal(ml_error_kind(error), ML_ERROR_UNSUPPORTED);
	ml_error_free(error);
}

static void test_plain(void **state)
{
	/* push r12; push rbp; push rbx; mov rbx,rdi; ret */
	const uint8_t bytes[] = {0x41, 0x54, 0x55, 0x53, 0x48, 0x89, 0xfb, 0xc3};
	struct ml_prologue moved = move(bytes, sizeof(bytes));

	assert_int_equal(moved.length, 7);
	assert_memory_equal(moved.code, bytes, 7);
	assert_int_equal(end_of(&moved), FROM + 7);
	assert_int_equal(moved.move_count, 4);
	assert_int_equal(moved.moves[3].from, 4);
	assert_int_equal(moved.moves[3].to, 4);
}

static void test_relative_data(void **state)
{
	/* cmpb $0, 0x1000(%rip) */
	const uint8_t bytes[] = {0x80, 0x3d, 0x00, 0x10, 0x00, 0x00, 0x00, 0xc3};
	struct ml_prologue moved = move(bytes, sizeof(bytes));

	assert_int_equal(moved.length, 7);
	assert_int_equal(TO + 7 + (uint64_t)(int64_t)word_at(moved.code + 2), FROM + 7 + 0x1000);
}

static void test_branches(void **state)
{
	/* test rdi,rdi; je +0x40 (short) and the same near */
	const uint8_t near[] = {0x48, 0x85, 0xff, 0x0f, 0x84, 0x40, 0, 0, 0, 0xc3};
	const uint8_t close[] = {0x48, 0x85, 0xff, 0x74, 0x40, 0xc3};
	struct ml_prologue moved = move(near, sizeof(near));

	assert_int_equal(moved.length, 9);
	assert_int_equal(moved.code[3], 0x0f);
	assert_int_equal(moved.code[4], 0x84);
	assert_int_equal(TO + 9 + (uint64_t)(int64_t)word_at(moved.code + 5), FROM + 9 + 0x40);
	moved = move(close, sizeof(close));
	assert_int_equal(moved.length, 5);
	assert_int_equal(moved.code[4], 0x84);
	assert_int_equal(TO + 9 + (uint64_t)(int64_t)word_at(moved.code + 5), FROM + 5 + 0x40);
	assert_int_equal(end_of(&moved), FROM + 5);
}

/* A function shorter than the jump: the padding behind it is overwritten, too. */
static void test_padding(void **state)
{
	/* ret; cs nopw; and xor %eax,%eax; ret; int3 … */
	const uint8_t nops[] = {0xc3, 0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0};
	const uint8_t traps[] = {0x31, 0xc0, 0xc3, 0xcc, 0xcc, 0xcc};
	/* ret, and another function: push %rbx; push %rbp … */
	const uint8_t other[] = {0xc3, 0x53, 0x55, 0x53, 0x55, 0x53};
	struct ml_prologue moved = move(nops, sizeof(nops));

	assert_int_equal(moved.code_size, 1);
	assert_int_equal(moved.code[0], 0xc3);
	assert_int_equal(moved.move_count, 1);
	moved = move(traps, sizeof(traps));
	assert_int_equal(moved.length, 5);
	assert_int_equal(moved.code_size, 3);
	refuses(other, sizeof(other));
	refuses(traps, 4);
}

static void test_last_jump(void **state)
{
	const uint8_t bytes[] = {0xe9, 0x00, 0x01, 0x00, 0x00};
	struct ml_prologue moved = move(bytes, sizeof(bytes));

	assert_int_equal(moved.code_size, 5);
	assert_int_equal(end_of(&moved), FROM + 5 + 0x100);
}

/* The address the call comes back to, as moved code pushes it out of the word behind its jump. */
static uint64_t pushed_by(const struct ml_prologue *moved, size_t at)
{
	uint64_t word;

	assert_int_equal(moved->code[at], 0xff);
	assert_int_equal(moved->code[at + 1], 0x35);
	memcpy(&word, moved->code + at + 6 + word_at(moved->code + at + 2), sizeof(word));
	assert_int_equal(moved->code_size, at + 6 + word_at(moved->code + at + 2) + 8);
	return word;
}

static void test_calls(void **state)
{
	/* sub $8,%rsp; call +0x100; add $8,%rsp; ret (TBB's malloc), and by a word of a table */
	const uint8_t near[] = {0x48, 0x83, 0xec, 0x08, 0xe8, 0, 1,
				0,    0,    0x48, 0x83, 0xc4, 8, 0xc3};
	const uint8_t table[] = {0x50, 0xff, 0x15, 0, 1, 0, 0, 0x58, 0xc3};
	struct ml_prologue moved = move(near, sizeof(near));

	assert_int_equal(moved.length, 9);
	assert_int_equal(moved.move_count, 2);
	assert_int_equal(pushed_by(&moved, 4), FROM + 9);
	assert_int_equal(moved.code[10], 0xe9);
	assert_int_equal(TO + 15 + (uint64_t)(int64_t)word_at(moved.code + 11), FROM + 9 + 0x100);
	moved = move(table, sizeof(table));
	assert_int_equal(pushed_by(&moved, 1), FROM + 7);
	assert_int_equal(moved.code[7], 0xff);
	assert_int_equal(moved.code[8], 0x25);
	assert_int_equal(TO + 13 + (uint64_t)(int64_t)word_at(moved.code + 9), FROM + 7 + 0x100);
}

static void test_refused(void **state)
{
	/* One that comes back into the jump, by a register, and to itself. */
	const uint8_t call[] = {0xff, 0xd0, 0x90, 0x90, 0x90, 0x90, 0xc3};
	const uint8_t by_register[] = {0x48, 0x83, 0xec, 0x08, 0xff, 0xd0, 0xc3};
	const uint8_t back[] = {0x55, 0xe8, 0xfb, 0xff, 0xff, 0xff, 0xc3};
	const uint8_t trap[] = {0xcc, 0x55, 0x53, 0x90, 0x90, 0xc3};
	const uint8_t too_short[] = {0x31, 0xc0, 0xc3, 0x55, 0x90, 0x90};
	const uint8_t cut[] = {0x48, 0x89};
	const uint8_t among[] = {0x74, 0x01, 0x55, 0x53, 0x50, 0xc3};
	const uint8_t loop[] = {0x55, 0x53, 0x50, 0x51, 0x52, 0xeb, 0xfa, 0xc3};
	const uint8_t junk[] = {0x06, 0x06, 0x06, 0x06, 0x06, 0x06};

	refuses(call, sizeof(call));
	refuses(by_register, sizeof(by_register));
	refuses(back, sizeof(back));
	refuses(trap, sizeof(trap));
	refuses(too_short, sizeof(too_short));
	refuses(cut, sizeof(cut));
	refuses(among, sizeof(among));
	refuses(loop, sizeof(loop));
	refuses(junk, sizeof(junk));
}

static void test_too_far(void **state)
{
	const uint8_t bytes[] = {0x80, 0x3d, 0xff, 0xff, 0xff, 0x7f, 0x00, 0xc3};
	struct ml_prologue moved;
	struct ml_error *error =
		ml_prologue_move(bytes, sizeof(bytes), FROM, FROM - 0x1000, &moved);

	assert_non_null(error);
	ml_error_free(error);
}

static struct ml_prologue_first look(const uint8_t *bytes, size_t size)
{
	struct ml_prologue_first first;

	ml_prologue_look(bytes, size, &first);
	return first;
}

static void test_first(void **state)
{
	const uint8_t push_r12[] = {0x41, 0x54, 0x55, 0x53, 0x48, 0x89, 0xfb, 0xc3};
	const uint8_t push_rbp[] = {0x55, 0x48, 0x89, 0xe5, 0x53, 0xc3};
	const uint8_t test_rdi[] = {0x48, 0x85, 0xff, 0x74, 0x10, 0x55, 0x53, 0xc3};
	const uint8_t endbr[] = {0xf3, 0x0f, 0x1e, 0xfa, 0x55, 0x53, 0xc3};
	const uint8_t mov[] = {0x48, 0x89, 0xf8, 0x55, 0x53, 0xc3};
	const uint8_t test_memory[] = {0x48, 0x85, 0x3f, 0x74, 0x10, 0x55, 0xc3};
	/* push rbp; 1: dec rdi; jnz 1b; pop rbp; ret */
	const uint8_t loop[] = {0x55, 0x48, 0xff, 0xcf, 0x75, 0xfb, 0x5d, 0xc3};
	struct ml_prologue_first first = look(push_r12, sizeof(push_r12));

	assert_int_equal(first.length, 2);
	assert_int_equal(first.undo_size, 2);
	assert_memory_equal(first.undo, ((const uint8_t[]){0x41, 0x5c}), 2);
	assert_true(first.must_redo);
	first = look(push_rbp, sizeof(push_rbp));
	assert_int_equal(first.length, 1);
	assert_int_equal(first.undo[0], 0x5d);
	first = look(test_rdi, sizeof(test_rdi));
	assert_int_equal(first.length, 3);
	assert_int_equal(first.undo_size, 0);
	assert_true(first.must_redo);
	first = look(endbr, sizeof(endbr));
	assert_int_equal(first.length, 4);
	assert_false(first.must_redo);
	assert_int_equal(look(mov, sizeof(mov)).length, 0);
	assert_int_equal(look(test_memory, sizeof(test_memory)).length, 0);
	assert_int_equal(look(loop, sizeof(loop)).length, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),     cmocka_unit_test(test_relative_data),
		cmocka_unit_test(test_branches),  cmocka_unit_test(test_padding),
		cmocka_unit_test(test_last_jump), cmocka_unit_test(test_calls),
		cmocka_unit_test(test_refused),   cmocka_unit_test(test_too_far),
		cmocka_unit_test(test_first),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

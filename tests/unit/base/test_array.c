/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/array.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void keeps_what_was_pushed(void **state)
{
	ML_ARRAY(uint64_t) squares = {0};

	for (uint64_t i = 0; i < 10007; i++)
		*ml_array_push(&squares) = i * i;
	assert_int_equal(squares.count, 10007);
	assert_true(squares.capacity >= squares.count);
	assert_true(squares.capacity < 2 * squares.count);

	uint64_t i = 0;

	ml_array_each (square, &squares) {
		assert_int_equal(*square, i * i);
		i++;
	}
	assert_int_equal(i, 10007);
	ml_array_free(&squares);
	assert_null(squares.items);
	assert_int_equal(squares.count, 0);
	assert_int_equal(squares.capacity, 0);
}

static void walks_an_empty_array_not_at_all(void **state)
{
	ML_ARRAY(char) none = {0};

	ml_array_each (it, &none)
		fail();
	ml_array_free(&none);
}

static void reserves_without_counting(void **state)
{
	ML_ARRAY(uint32_t) numbers = {0};

	ml_array_reserve(&numbers, 23);
	assert_int_equal(numbers.count, 0);
	assert_true(numbers.capacity >= 23);

	uint32_t *items = numbers.items;

	for (uint32_t i = 0; i < 23; i++)
		*ml_array_push(&numbers) = i;
	assert_ptr_equal(items, numbers.items);
	ml_array_reserve(&numbers, 5);
	assert_ptr_equal(items, numbers.items);
	ml_array_free(&numbers);
}

static void counts_what_is_sorted_up_to_a_value(void **state)
{
	static const struct {
		uint64_t start;
	} ranges[] = {{3}, {5}, {5}, {UINT64_MAX}};
	const size_t count = sizeof(ranges) / sizeof(ranges[0]);

	assert_int_equal(ml_sorted_up_to(ranges, 0, start, 5), 0);
	assert_int_equal(ml_sorted_up_to(ranges, count, start, 2), 0);
	assert_int_equal(ml_sorted_up_to(ranges, count, start, 3), 1);
	assert_int_equal(ml_sorted_up_to(ranges, count, start, 4), 1);
	assert_int_equal(ml_sorted_up_to(ranges, count, start, 5), 3);
	assert_int_equal(ml_sorted_up_to(ranges, count, start, UINT64_MAX - 1), 3);
	assert_int_equal(ml_sorted_up_to(ranges, count, start, UINT64_MAX), 4);
}

static void zeroes_blocks_and_copies_text(void **state)
{
	static const char zeros[101];
	char *block = ml_alloc(sizeof(zeros));
	char *empty = ml_alloc(0);
	char *copy = ml_strdup("leak");

	assert_memory_equal(block, zeros, sizeof(zeros));
	assert_non_null(empty);
	assert_string_equal(copy, "leak");
	assert_null(ml_strdup(NULL));
	free(block);
	free(empty);
	free(copy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_what_was_pushed),
		cmocka_unit_test(walks_an_empty_array_not_at_all),
		cmocka_unit_test(reserves_without_counting),
		cmocka_unit_test(counts_what_is_sorted_up_to_a_value),
		cmocka_unit_test(zeroes_blocks_and_copies_text),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "shared/sample_weight.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static double exact_bytes(double size, double mean)
{
	return size / -expm1(-size / mean);
}

static void test_bytes_are_size_by_probability(void **state)
{
	static const uint64_t means[] = {1, 100, 4096, 524288, 1ull << 32, 1ull << 40};

	for (size_t i = 0; i < sizeof(means) / sizeof(*means); i++)
		for (uint64_t size = 1; size < 4 * means[i]; size += 1 + size / 7) {
			double exact = exact_bytes((double)size, (double)means[i]);
			double error = fabs((double)ml_sample_bytes(size, means[i]) - exact);

			/* A byte is lost by rounding down. */
			assert_true(error < 1 + exact * 1e-5);
		}
}

static void test_counts_are_in_65536ths(void **state)
{
	double exact = exact_bytes(64, 524288) / 64 * 65536;

	assert_true(fabs((double)ml_sample_count(64, 524288) - exact) < exact * 1e-4);
	assert_int_equal(ml_sample_count(4096, 1024), 65536);
}

static void test_large_blocks_stand_for_themselves(void **state)
{
	assert_int_equal(ml_sample_bytes(4096, 1024), 4096);
	assert_true(ml_sample_bytes(4095, 1024) > 4095);
	assert_int_equal(ml_sample_bytes(UINT64_MAX, 1024), UINT64_MAX);
}

static void test_empty_blocks_count_as_one_byte(void **state)
{
	assert_int_equal(ml_sample_bytes(0, 4096), 0);
	assert_int_equal(ml_sample_count(0, 4096), ml_sample_count(1, 4096));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes_are_size_by_probability),
		cmocka_unit_test(test_counts_are_in_65536ths),
		cmocka_unit_test(test_large_blocks_stand_for_themselves),
		cmocka_unit_test(test_empty_blocks_count_as_one_byte),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

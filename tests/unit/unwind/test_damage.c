/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Damaged CFI: a section with every sort of record and instruction, with bytes changed at random.
 * What counts is that nothing is read out of bounds (run it with sanitizers) and that the table
 * keeps its order whatever the input.
 */
#include "base/clock.h"
#include "cfi_bytes.h"
#include "unwind/rows.h"

#include <stdio.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define ROUNDS          20000
#define TIME_LIMIT_NS   (5 * ML_NS_PER_SECOND)
#define CHANGES_AT_MOST 8

/* A generator of our own, so that a failure can be repeated: xorshift64 (Marsaglia 2003). */
static uint64_t random_next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static void sound_section_make(struct cfi_bytes *cfi)
{
	static const uint8_t instructions[] = {
		0x41, 0x0e, 16,   0x86, 2,    0x43, 0x0d, 6,    0x0a, 0x42, 0x0c, 7,    8,
		0xc6, 0x02, 1,    0x0b, 0x03, 1,    0,    0x2e, 16,   0x2f, 6,    2,    0x04,
		1,    0,    0,    0,    0x0f, 3,    0x76, 0x78, 0x06, 0x10, 6,    2,    0x76,
		0,    0x05, 6,    3,    0x06, 6,    0x07, 16,   0x08, 6,    0x09, 6,    3,
		0x11, 6,    0x7e, 0x12, 7,    0x7e, 0x13, 0x7d, 0x14, 6,    3,    0x15, 6,
		3,    0x16, 6,    2,    0x76, 0,    0x1d, 1,    0,    0,    0,    0,    0,
		0,    0,    0x01, 0x30, 0x11, 0x40, 0,    0,    0,    0,    0};
	size_t cie = cfi_add_cie(cfi, instructions, 2);

	cfi_add_fde(cfi, cie, CFI_TEXT_ADDRESS, 0x100, instructions, sizeof(instructions));
	cfi_add_fde(cfi, cie, CFI_TEXT_ADDRESS + 0x180, 0x40, instructions, 30);
	cie = cfi_add_cie(cfi, instructions + 3, 2);
	cfi_add_fde(cfi, cie, CFI_TEXT_ADDRESS + 0x700, 0x200, instructions, sizeof(instructions));
}

static void assert_table_is_sound(const struct ml_unwind_rows *rows)
{
	for (size_t i = 0; i < rows->count; i++) {
		struct ml_unwind_row row = rows->rows[i];

		assert_true(row.pc <= CFI_TEXT_SIZE);
		assert_true(!i || rows->rows[i - 1].pc < row.pc);
		assert_true(ML_ROW_CFA(row.rules) < ML_CFA_COUNT);
		assert_memory_equal(&(struct ml_unwind_row[]){ml_unwind_rows_find(rows, row.pc)},
				    &row, sizeof(row));
	}
	if (rows->count)
		assert_int_equal(ML_ROW_CFA(rows->rows[rows->count - 1].rules), ML_CFA_NONE);
}

static void rounds_run(const char *section, uint64_t seed)
{
	uint64_t start_ns = ml_monotonic_ns();
	size_t rounds = 0, errors = 0;

	for (; rounds < ROUNDS && ml_monotonic_ns() - start_ns < TIME_LIMIT_NS; rounds++) {
		struct cfi_bytes cfi = {.is_debug_frame = !strcmp(section, ".debug_frame")};
		struct ml_unwind_rows rows = {0};

		sound_section_make(&cfi);
		for (uint64_t i = random_next(&seed) % CHANGES_AT_MOST; i > 0; i--)
			cfi.bytes[random_next(&seed) % cfi.size] = (uint8_t)random_next(&seed);
		if (random_next(&seed) % 4 == 0)
			cfi.size = random_next(&seed) % cfi.size;

		struct ml_module *module = cfi_module(&cfi, section, CFI_TEXT_ADDRESS + 0x400);
		struct ml_error *error = ml_unwind_rows_build(module, &rows);

		if (error)
			errors++;
		else
			assert_table_is_sound(&rows);
		ml_error_free(error);
		ml_unwind_rows_deinit(&rows);
		ml_module_unref(module);
	}
	print_message("# %s: %zu rounds, %zu refused\n", section, rounds, errors);
	assert_true(rounds > 500);
	assert_true(errors < rounds);
}

static void test_eh_frame(void **state)
{
	rounds_run(".eh_frame", 0x9e3779b97f4a7c15);
}

static void test_debug_frame(void **state)
{
	rounds_run(".debug_frame", 0xd1b54a32d192ed03);
}

/** Code without CFI is decoded: here it is noise, with calls, pushes and frames among it. */
static void test_random_code(void **state)
{
	static const uint8_t common[] = {0x55, 0x5d, 0xe8, 0xeb, 0x74,
					 0xc9, 0xc3, 0x48, 0x83, 0xec};
	uint64_t start_ns = ml_monotonic_ns(), seed = 0xa0761d6478bd642f;
	size_t rounds = 0;

	for (; rounds < 500 && ml_monotonic_ns() - start_ns < TIME_LIMIT_NS; rounds++) {
		uint8_t code[CFI_TEXT_SIZE];
		struct cfi_bytes cfi = {.code = code, .code_size = sizeof(code)};
		struct ml_unwind_rows rows;

		for (size_t i = 0; i < sizeof(code); i++) {
			uint64_t value = random_next(&seed);

			code[i] = value & 1 ? common[(value >> 8) % sizeof(common)]
					    : (uint8_t)(value >> 16);
		}

		struct ml_module *module = cfi_module(&cfi, ".eh_frame", CFI_TEXT_ADDRESS);

		assert_null(ml_unwind_rows_build(module, &rows));
		assert_table_is_sound(&rows);
		ml_unwind_rows_deinit(&rows);
		ml_module_unref(module);
	}
	assert_true(rounds > 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_eh_frame),
		cmocka_unit_test(test_debug_frame),
		cmocka_unit_test(test_random_code),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

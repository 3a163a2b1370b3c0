/* SPDX-License-Identifier: BSD-2-Clause */
/** Call frame information into rows. The first byte says which section it is. */
#include "fuzz.h"

#include "unwind/rows.h"

/* Rows are made of bytes of the section; a byte of DW_CFA_advance_loc makes one row. */
#define ROWS_A_BYTE 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ml_unwind_rows rows = {0};

	if (size < 1)
		return 0;

	const char *name = data[0] & 1 ? ".debug_frame" : ".eh_frame";
	struct ml_module *module = fuzz_module_with_section(name, data + 1, size - 1);

	FUZZ_CHECK(module);

	struct ml_error *error = ml_unwind_rows_build(module, &rows);

	for (size_t i = 1; i < rows.count; i++)
		FUZZ_CHECK(rows.rows[i - 1].pc < rows.rows[i].pc);
	FUZZ_CHECK(rows.count <= 16 + ROWS_A_BYTE * size);
	for (uint32_t pc = 0; pc < FUZZ_CODE_SIZE + 64; pc += 61)
		ml_unwind_rows_find(&rows, pc);
	for (size_t i = 0; i < rows.count; i++) {
		struct ml_unwind_row row = ml_unwind_rows_find(&rows, rows.rows[i].pc);

		FUZZ_CHECK(row.pc == rows.rows[i].pc);
	}
	ml_unwind_rows_deinit(&rows);
	ml_error_free(error);
	ml_module_unref(module);
	return 0;
}

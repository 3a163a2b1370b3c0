/* SPDX-License-Identifier: BSD-2-Clause */
/** A module's machine code: rows derived from it, its allocators and where they can be probed. */
#include "fuzz.h"

#include "allocators/allocator.h"
#include "unwind/rows.h"

static void find_allocators(struct ml_module *module)
{
	struct ml_allocator_candidate candidate = {.module = module};
	struct ml_allocator_options options = {0};
	struct ml_allocators found = {0};
	struct ml_error *error = ml_allocators_find(&candidate, 1, &options, &found);

	if (!error)
		ml_allocators_deinit(&found);
	ml_error_free(error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ml_module *module = fuzz_module(data, size);
	struct ml_unwind_rows rows = {0};

	if (!module)
		return 0;

	struct ml_error *error = ml_unwind_rows_build(module, &rows);

	for (size_t i = 1; i < rows.count; i++)
		FUZZ_CHECK(rows.rows[i - 1].pc < rows.rows[i].pc);
	for (uint32_t pc = 0; pc < 4096; pc += 7)
		ml_unwind_rows_find(&rows, pc);
	ml_unwind_rows_deinit(&rows);
	ml_error_free(error);
	find_allocators(module);
	ml_module_unref(module);
	return 0;
}

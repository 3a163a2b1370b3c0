/* SPDX-License-Identifier: BSD-2-Clause */
/** A line table of CPython behind the first line (4 bytes). */
#include "fuzz.h"

#include "symbols/python_line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int32_t first_line;

	fuzz_take(&data, &size, &first_line, sizeof(first_line));
	for (uint64_t offset = 0; offset < 64; offset++)
		FUZZ_CHECK(ml_python_line(data, size, first_line, offset) >= 0);
	FUZZ_CHECK(ml_python_line(data, size, first_line, UINT64_MAX) == 0);
	return 0;
}

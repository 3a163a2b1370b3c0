/* SPDX-License-Identifier: BSD-2-Clause */
/** A jitdump that grows: first the part that the first two bytes say, then the whole. */
#include "fuzz.h"

#include "symbols/jitdump.h"

#include <unistd.h>

static void check_ranges(const struct ml_jitdump *dump)
{
	for (size_t i = 0; i < dump->ranges.count; i++) {
		const struct ml_jit_range *range = &dump->ranges.items[i];

		FUZZ_CHECK(range->start < range->end && range->code_start <= range->start);
		FUZZ_CHECK(i == 0 || dump->ranges.items[i - 1].end <= range->start);
		FUZZ_CHECK(ml_jit_ranges_find(&dump->ranges, range->end - 1) == range);
		FUZZ_CHECK(range->name[0] != '\0');
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint16_t first;

	fuzz_take(&data, &size, &first, sizeof(first));
	if (first > size)
		first = (uint16_t)size;

	struct ml_jitdump dump = {.fd = fuzz_file(data, first)};

	ml_jitdump_read(&dump);
	check_ranges(&dump);
	FUZZ_CHECK(pwrite(dump.fd, data + first, size - first, first) == (ssize_t)(size - first));
	ml_jitdump_read(&dump);
	check_ranges(&dump);
	FUZZ_CHECK(dump.entries.count <= size / 16);
	ml_jitdump_deinit(&dump);
	return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/** /tmp/perf-PID.map: a file the target writes. */
#include "fuzz.h"

#include "symbols/perf_map.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ml_perf_map map = {0};

	ml_perf_map_parse(&map, fuzz_text(data, size));
	for (size_t i = 0; i < map.ranges.count; i++) {
		const struct ml_jit_range *range = &map.ranges.items[i];

		FUZZ_CHECK(range->start < range->end && range->code_start <= range->start);
		FUZZ_CHECK(i == 0 || map.ranges.items[i - 1].end <= range->start);
		FUZZ_CHECK(ml_perf_map_find(&map, range->start) == range);
		FUZZ_CHECK(ml_perf_map_find(&map, range->end - 1) == range);
		FUZZ_CHECK(strlen(range->name) <= size);
	}
	ml_perf_map_find(&map, 0);
	ml_perf_map_find(&map, UINT64_MAX);
	ml_perf_map_deinit(&map);
	return 0;
}

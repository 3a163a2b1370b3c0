/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * .gnu_debugdata. After an even first byte comes the section as it is; after an odd one an ELF file
 * that is compressed here, for xz's checksums would keep changed bytes from getting anywhere.
 */
#include "fuzz.h"

#include "base/array.h"

#include <lzma.h>

static void count_function(const struct ml_symbol *symbol, void *context)
{
	FUZZ_CHECK(symbol->name[0] != '\0');
	++*(size_t *)context;
}

static void read_symbols(const uint8_t *data, size_t size)
{
	struct ml_module *module = fuzz_module_with_section(".gnu_debugdata", data, size);
	struct ml_symbol symbol;
	size_t count = 0;

	FUZZ_CHECK(module);
	ml_module_each_function(module, count_function, &count);
	for (uint64_t at = 0; at < FUZZ_CODE_SIZE; at += 1021)
		ml_module_symbol_at(module, FUZZ_CODE_ADDRESS + at, &symbol);
	ml_module_unref(module);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	if (!(data[0] & 1)) {
		read_symbols(data + 1, size - 1);
		return 0;
	}

	size_t bound = lzma_stream_buffer_bound(size), used = 0;
	uint8_t *packed = ml_alloc(bound);

	FUZZ_CHECK(lzma_easy_buffer_encode(0, LZMA_CHECK_CRC32, NULL, data + 1, size - 1, packed,
					   &used, bound) == LZMA_OK);
	read_symbols(packed, used);
	free(packed);
	return 0;
}

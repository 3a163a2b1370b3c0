/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Split DWARF: two bytes that say how long the program is (with the highest bit: that a .dwp is
 * there and no .dwo), the program, and what is in the .dwp or .dwo.
 */
#include "fuzz.h"

#include "symbols/symbolizer.h"

#define FUNCTIONS_ASKED 8
#define BYTES_ASKED     48

/** The second file. */
struct second {
	const uint8_t *data;
	size_t size;
	bool is_package;
};

/** The functions to ask for. */
struct functions {
	uint64_t addresses[FUNCTIONS_ASKED];
	size_t count;
};

static void add_function(const struct ml_symbol *symbol, void *context)
{
	struct functions *functions = context;

	if (functions->count < FUNCTIONS_ASKED)
		functions->addresses[functions->count++] = symbol->address;
}

static struct ml_error *open_second(void *context, struct ml_module *module, const char *path,
				    int *fd)
{
	const struct second *second = context;
	size_t length = strlen(path);
	bool is_package = length > 4 && strcmp(path + length - 4, ".dwp") == 0;

	FUZZ_CHECK(path[0] == '/');
	if (is_package != second->is_package)
		return ml_error_new(ML_ERROR_SYSTEM, "no %s", path);
	*fd = fuzz_file(second->data, second->size);
	return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct functions functions = {0};
	uint16_t length;

	fuzz_take(&data, &size, &length, sizeof(length));

	struct second second = {.is_package = length >> 15};

	length &= INT16_MAX;
	if (length > size)
		length = (uint16_t)size;
	second.data = data + length;
	second.size = size - length;

	struct ml_module *module = fuzz_module(data, length);

	if (!module)
		return 0;

	struct ml_symbolizer *symbolizer = ml_symbolizer_create(true);
	struct ml_symbol_frames frames = {0};

	ml_symbolizer_set_open_file(symbolizer, open_second, &second);
	ml_module_each_function(module, add_function, &functions);
	for (size_t i = 0; i < functions.count; i++) {
		for (uint64_t at = 0; at < BYTES_ASKED; at += 3)
			ml_symbolizer_lookup(symbolizer, module, functions.addresses[i] + at, true,
					     &frames);
	}
	ml_array_free(&frames.list);
	ml_symbolizer_destroy(symbolizer);
	ml_module_unref(module);
	return 0;
}

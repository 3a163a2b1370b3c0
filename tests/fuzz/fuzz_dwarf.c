/* SPDX-License-Identifier: BSD-2-Clause */
/** Lines and inlined functions: an ELF file with debug information. */
#include "fuzz.h"

#include "symbols/symbolizer.h"

#define FUNCTIONS_ASKED 16
#define BYTES_ASKED     48

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

/* No file but the input may be looked at, whatever it names. */
static struct ml_error *refuse(void *context, struct ml_module *module, const char *path, int *fd)
{
	FUZZ_CHECK(path[0] == '/' || strchr(path, '/') == NULL);
	return ml_error_new(ML_ERROR_SYSTEM, "no %s", path);
}

static void look_up(struct ml_symbolizer *symbolizer, struct ml_module *module, uint64_t address)
{
	struct ml_symbol_frames frames = {0};

	for (uint64_t at = address; at < address + BYTES_ASKED; at += 3) {
		ml_symbolizer_lookup(symbolizer, module, at, at & 1, &frames);
		FUZZ_CHECK(frames.list.count >= 1);
		ml_array_each (frame, &frames.list) {
			FUZZ_CHECK(frame->line >= 0);
			if (frame->symbol)
				FUZZ_CHECK(strlen(frame->symbol) > 0 || frame->mangled[0] == '\0');
			if (frame->file)
				FUZZ_CHECK(strlen(frame->file) < INT32_MAX);
		}
	}
	ml_array_free(&frames.list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ml_module *module = fuzz_module(data, size);
	struct functions functions = {0};

	if (!module)
		return 0;

	struct ml_symbolizer *symbolizer = ml_symbolizer_create(true);

	ml_symbolizer_set_open_file(symbolizer, refuse, NULL);
	ml_module_each_function(module, add_function, &functions);
	for (size_t i = 0; i < functions.count; i++)
		look_up(symbolizer, module, functions.addresses[i]);
	look_up(symbolizer, module, 0x401000);
	ml_symbolizer_destroy(symbolizer);
	ml_module_unref(module);
	return 0;
}

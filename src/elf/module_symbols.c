/* SPDX-License-Identifier: BSD-2-Clause */
#include "elf/module_private.h"

#include <stdlib.h>

static void add_mini_debug_info(struct ml_module *module)
{
	size_t size;
	void *bytes = ml_mini_debug_info_load(&module->image, &size);
	struct ml_image image;

	if (!bytes)
		return;

	ML_ERROR_CLEANUP struct ml_error *error =
		ml_image_open_memory(bytes, size, module->path, &image);

	if (!error) {
		ml_symbol_table_add(&module->symbols, &image, ML_SYMBOL_DEBUG_DATA);
		ml_image_deinit(&image);
	}
	free(bytes);
}

static void need_symbols(struct ml_module *module)
{
	if (module->has_symbols)
		return;
	module->has_symbols = true;
	ml_symbol_table_add(&module->symbols, &module->image, ML_SYMBOL_DYNAMIC);
	ml_symbol_table_add(&module->symbols, &module->image, ML_SYMBOL_STATIC);
	add_mini_debug_info(module);
	ml_symbol_table_index(&module->symbols);
}

struct ml_error *ml_module_add_symbols(struct ml_module *module, int fd, const char *path)
{
	struct ml_image image;
	struct ml_error *error = ml_image_open(fd, path, &image);

	if (error)
		return error;
	need_symbols(module);
	ml_symbol_table_add(&module->symbols, &image, ML_SYMBOL_DEBUG_FILE);
	ml_symbol_table_index(&module->symbols);
	ml_image_deinit(&image);
	return NULL;
}

bool ml_module_symbol_at(struct ml_module *module, uint64_t address, struct ml_symbol *out)
{
	need_symbols(module);
	return ml_symbol_table_at(&module->symbols, address, out);
}

void ml_module_each_function(struct ml_module *module,
			     void (*visit)(const struct ml_symbol *symbol, void *context),
			     void *context)
{
	need_symbols(module);
	for (int source = 0; source < ML_SYMBOL_SOURCES; source++)
		ml_symbol_table_each(&module->symbols, source, visit, context);
}

bool ml_module_function_named(struct ml_module *module, const char *name, struct ml_symbol *out)
{
	need_symbols(module);
	return ml_symbol_table_named(&module->symbols, name, out);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "elf/module_private.h"

#include <stdlib.h>

/* Searches of a name through the file before its symbols are read into memory. */
#define SCANS_MAX 4

/* Opens the ELF file in .gnu_debugdata; its bytes (free() them) in @p bytes. False: there is none.
 */
static bool open_mini_debug_info(const struct ml_module *module, struct ml_image *image,
				 void **bytes)
{
	size_t size;

	*bytes = ml_mini_debug_info_load(&module->image, &size);
	if (!*bytes)
		return false;

	ML_ERROR_CLEANUP struct ml_error *error =
		ml_image_open_memory(*bytes, size, module->path, image);

	if (error)
		free(*bytes);
	return !error;
}

static void add_mini_debug_info(struct ml_module *module)
{
	struct ml_image image;
	void *bytes;

	if (!open_mini_debug_info(module, &image, &bytes))
		return;
	ml_symbol_table_add(&module->symbols, &image, ML_SYMBOL_DEBUG_DATA);
	ml_image_deinit(&image);
	free(bytes);
}

/* The module that has the symbols of @p module, read. */
static struct ml_module *need_symbols(struct ml_module *module)
{
	module = ml_module_original(module);
	if (module->has_symbols)
		return module;
	module->has_symbols = true;
	ml_symbol_table_add(&module->symbols, &module->image, ML_SYMBOL_DYNAMIC);
	ml_symbol_table_add(&module->symbols, &module->image, ML_SYMBOL_STATIC);
	add_mini_debug_info(module);
	ml_symbol_table_index(&module->symbols);
	return module;
}

struct ml_error *ml_module_add_symbols(struct ml_module *module, int fd, const char *path)
{
	struct ml_image image;
	struct ml_error *error = ml_image_open(fd, path, &image);

	if (error)
		return error;
	module = need_symbols(module);
	ml_symbol_table_add(&module->symbols, &image, ML_SYMBOL_DEBUG_FILE);
	ml_symbol_table_index(&module->symbols);
	ml_image_deinit(&image);
	return NULL;
}

bool ml_module_symbol_at(struct ml_module *module, uint64_t address, struct ml_symbol *out)
{
	return ml_symbol_table_at(&need_symbols(module)->symbols, address, out);
}

void ml_module_each_function(struct ml_module *module,
			     void (*visit)(const struct ml_symbol *symbol, void *context),
			     void *context)
{
	module = need_symbols(module);
	for (int source = 0; source < ML_SYMBOL_SOURCES; source++)
		ml_symbol_table_each(&module->symbols, source, visit, context);
}

void ml_module_scan_functions(struct ml_module *module,
			      void (*visit)(const struct ml_symbol *symbol, void *context),
			      void *context)
{
	struct ml_image image;
	void *bytes;

	module = ml_module_original(module);
	if (module->has_symbols) {
		ml_module_each_function(module, visit, context);
		return;
	}
	ml_symbol_scan(&module->image, ML_SYMBOL_DYNAMIC, visit, context);
	ml_symbol_scan(&module->image, ML_SYMBOL_STATIC, visit, context);
	if (!open_mini_debug_info(module, &image, &bytes))
		return;
	ml_symbol_scan(&image, ML_SYMBOL_DEBUG_DATA, visit, context);
	ml_image_deinit(&image);
	free(bytes);
}

const char *ml_module_keep_name(struct ml_module *module, const char *name)
{
	module = ml_module_original(module);

	size_t number = ml_intern_text(&module->names, name, NULL);

	return module->names.entries.items[number].bytes;
}

bool ml_module_function_named(struct ml_module *module, const char *name, struct ml_symbol *out)
{
	module = ml_module_original(module);
	/* Most modules are asked for two or three names while a process is attached to, and for
	 * nothing else unless an allocation comes from there. */
	if (module->has_symbols || module->has_mini_debug_info || module->scans >= SCANS_MAX)
		return ml_symbol_table_named(&need_symbols(module)->symbols, name, out);
	module->scans++;
	if (!ml_symbol_scan_named(&module->image, ML_SYMBOL_DYNAMIC, name, out) &&
	    !ml_symbol_scan_named(&module->image, ML_SYMBOL_STATIC, name, out))
		return false;
	out->name = ml_module_keep_name(module, name);
	return true;
}

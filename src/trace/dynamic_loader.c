/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/dynamic_loader.h"

#include <string.h>

/* By its usual names: looking into every module for one function would take long. musl's C library
 * is its own loader. */
static bool is_loader(const struct ml_module *module)
{
	const char *name = ml_module_name(module);

	return !strncmp(name, "ld-", 3) || !strncmp(name, "ld.so", 5) ||
	       !strncmp(name, "libc.so", 7) || !strncmp(name, "libc.musl", 9);
}

bool ml_dynamic_loader_find(const struct ml_code_map *map, struct ml_dynamic_loader *out)
{
	for (size_t i = 0; i < map->mapped_count; i++) {
		const struct ml_code *code = &map->list.items[i];
		struct ml_symbol symbol;

		if (!code->module || !is_loader(code->module) ||
		    !ml_module_function_named(code->module, ML_DEBUG_STATE, &symbol) ||
		    symbol.address + code->bias < code->start ||
		    symbol.address + code->bias >= code->end)
			continue;
		*out = (struct ml_dynamic_loader){.code = code, .debug_state = symbol};
		return true;
	}
	return false;
}

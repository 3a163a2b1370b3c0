/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/agent_lock.h"

#include "elf/imports.h"

#include <string.h>

static void look(void *context, const struct ml_import *import)
{
	uint64_t *found = context;

	*found |= !strcmp(import->name, "mlockall");
}

const char *ml_agent_lock_find(const struct ml_code_map *code, struct ml_u64map *known)
{
	for (size_t i = 0; i < code->mapped_count; i++) {
		struct ml_module *module = code->list.items[i].module;
		bool is_new = false;
		uint64_t *found;

		if (!module)
			continue;
		found = ml_u64map_put(known, (uint64_t)(uintptr_t)module, &is_new);
		if (is_new)
			ml_module_each_import(module, look, found);
		if (*found)
			return ml_module_name(module);
	}
	return NULL;
}

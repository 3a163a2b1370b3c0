/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/agent_lock.h"

#include "elf/imports.h"

#include <string.h>

static void look(void *context, const struct ml_import *import)
{
	bool *found = context;

	*found |= !strcmp(import->name, "mlockall");
}

const char *ml_agent_lock_find(const struct ml_code_map *code)
{
	bool found = false;

	for (size_t i = 0; i < code->mapped_count; i++) {
		struct ml_module *module = code->list.items[i].module;

		if (module)
			ml_module_each_import(module, look, &found);
		if (found)
			return ml_module_name(module);
	}
	return NULL;
}

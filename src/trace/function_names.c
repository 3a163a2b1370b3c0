/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/function_names.h"

#include <string.h>

uint16_t ml_function_names_id(struct ml_function_names *names, const char *name)
{
	for (size_t i = 0; i < names->list.count; i++)
		if (!strcmp(names->list.items[i], name))
			return (uint16_t)i;
	if (names->list.count > UINT16_MAX)
		return UINT16_MAX;
	*ml_array_push(&names->list) = ml_strdup(name);
	return (uint16_t)(names->list.count - 1);
}

void ml_function_names_deinit(struct ml_function_names *names)
{
	ml_array_each (name, &names->list)
		free((char *)*name);
	ml_array_free(&names->list);
}

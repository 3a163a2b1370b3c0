/* SPDX-License-Identifier: BSD-2-Clause */
/** How a text begins. */
#ifndef ML_BASE_PREFIX_H
#define ML_BASE_PREFIX_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static inline bool ml_has_prefix(const char *text, const char *prefix)
{
	return !strncmp(text, prefix, strlen(prefix));
}

/** Whether @p text begins with one of @p count @p prefixes; not when it is NULL. */
static inline bool ml_has_prefix_of(const char *text, const char *const *prefixes, size_t count)
{
	for (size_t i = 0; text && i < count; i++)
		if (ml_has_prefix(text, prefixes[i]))
			return true;
	return false;
}

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/array.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

static void die_without_memory(size_t size)
{
	fprintf(stderr, "memleak: out of memory (%zu bytes wanted)\n", size);
	abort();
}

void *ml_alloc(size_t size)
{
	void *block = calloc(1, size ? size : 1);

	if (!block)
		die_without_memory(size);
	return block;
}

char *ml_strdup(const char *text)
{
	if (!text)
		return NULL;

	size_t size = strlen(text) + 1;

	return memcpy(ml_alloc(size), text, size);
}

void *ml_grow(void *items, size_t *capacity, size_t need, size_t size)
{
	if (need <= *capacity)
		return items;

	size_t wanted = *capacity < 8 ? 8 : *capacity + *capacity / 2;

	if (wanted < need)
		wanted = need;
	if (wanted > SIZE_MAX / size)
		die_without_memory(SIZE_MAX);
	items = realloc(items, wanted * size);
	if (!items)
		die_without_memory(wanted * size);
	*capacity = wanted;
	return items;
}

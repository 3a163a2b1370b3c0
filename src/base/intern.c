/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/intern.h"

#include <string.h>

/** FNV-1a. */
static uint64_t hash_bytes(const unsigned char *bytes, size_t length)
{
	uint64_t hash = 0xcbf29ce484222325ULL;

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ bytes[i]) * 0x100000001b3ULL;
	return hash;
}

size_t ml_intern_bytes(struct ml_intern *intern, const void *bytes, size_t length, bool *is_new)
{
	uint64_t *head = ml_u64map_put(&intern->by_hash, hash_bytes(bytes, length), NULL);

	for (uint64_t i = *head; i; i = intern->entries.items[i - 1].next) {
		const struct ml_intern_entry *entry = &intern->entries.items[i - 1];

		if (entry->length != length || memcmp(entry->bytes, bytes, length))
			continue;
		if (is_new)
			*is_new = false;
		return i - 1;
	}

	char *copy = ml_alloc(length + 1);

	memcpy(copy, bytes, length);
	*ml_array_push(&intern->entries) =
		(struct ml_intern_entry){.bytes = copy, .length = length, .next = *head};
	*head = intern->entries.count;
	if (is_new)
		*is_new = true;
	return intern->entries.count - 1;
}

size_t ml_intern_text(struct ml_intern *intern, const char *text, bool *is_new)
{
	return ml_intern_bytes(intern, text, strlen(text), is_new);
}

void ml_intern_free(struct ml_intern *intern)
{
	ml_array_each (entry, &intern->entries)
		free(entry->bytes);
	ml_array_free(&intern->entries);
	ml_u64map_free(&intern->by_hash);
}

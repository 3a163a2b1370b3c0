/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/intern.h"

#include "base/hash_seed.h"

#include <string.h>

/** FNV-1a. */
static uint64_t hash_bytes(const unsigned char *bytes, size_t length)
{
	uint64_t hash = 0xcbf29ce484222325ULL ^ ml_hash_seed();

	for (size_t i = 0; i < length; i++)
		hash = ml_hash_word(hash, bytes[i]);
	return hash;
}

/** The entry of number @p first - 1, or one behind it of the same hash, that is @p bytes. */
static const struct ml_intern_entry *find(const struct ml_intern *intern, uint64_t first,
					  const void *bytes, size_t length)
{
	for (uint64_t i = first; i; i = intern->entries.items[i - 1].next) {
		const struct ml_intern_entry *entry = &intern->entries.items[i - 1];

		if (entry->length == length && !memcmp(entry->bytes, bytes, length))
			return entry;
	}
	return NULL;
}

size_t ml_intern_bytes(struct ml_intern *intern, const void *bytes, size_t length, bool *is_new)
{
	uint64_t *head = ml_u64map_put(&intern->by_hash, hash_bytes(bytes, length), NULL);

	const struct ml_intern_entry *known = find(intern, *head, bytes, length);

	if (is_new)
		*is_new = !known;
	if (known)
		return (size_t)(known - intern->entries.items);

	char *copy = ml_alloc(length + 1);

	memcpy(copy, bytes, length);
	*ml_array_push(&intern->entries) =
		(struct ml_intern_entry){.bytes = copy, .length = length, .next = *head};
	*head = intern->entries.count;
	return intern->entries.count - 1;
}

size_t ml_intern_text(struct ml_intern *intern, const char *text, bool *is_new)
{
	return ml_intern_bytes(intern, text, strlen(text), is_new);
}

bool ml_intern_has(const struct ml_intern *intern, const void *bytes, size_t length)
{
	const uint64_t *first = ml_u64map_get(&intern->by_hash, hash_bytes(bytes, length));

	return first && find(intern, *first, bytes, length);
}

void ml_intern_free(struct ml_intern *intern)
{
	ml_array_each (entry, &intern->entries)
		free(entry->bytes);
	ml_array_free(&intern->entries);
	ml_u64map_free(&intern->by_hash);
}

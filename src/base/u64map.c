/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/u64map.h"

#include "base/array.h"
#include "base/hash_seed.h"

#include <stdlib.h>

static size_t slot_of(uint64_t key, size_t capacity)
{
	key ^= ml_hash_seed();
	key ^= key >> 33;
	key *= 0xff51afd7ed558ccdULL; /* the finalizer of MurmurHash3 */
	key ^= key >> 33;
	return (size_t)key & (capacity - 1);
}

static struct ml_u64map_slot *find(const struct ml_u64map *map, uint64_t key)
{
	size_t i = slot_of(key, map->capacity);

	while (map->slots[i].used && map->slots[i].key != key)
		i = (i + 1) & (map->capacity - 1);
	return &map->slots[i];
}

static void grow(struct ml_u64map *map)
{
	struct ml_u64map bigger = {.capacity = map->capacity ? map->capacity * 2 : 64};

	bigger.slots = ml_alloc(bigger.capacity * sizeof(*bigger.slots));
	bigger.count = map->count;
	for (size_t i = 0; i < map->capacity; i++)
		if (map->slots[i].used)
			*find(&bigger, map->slots[i].key) = map->slots[i];
	free(map->slots);
	*map = bigger;
}

uint64_t *ml_u64map_get(const struct ml_u64map *map, uint64_t key)
{
	if (!map->count)
		return NULL;

	struct ml_u64map_slot *slot = find(map, key);

	return slot->used ? &slot->value : NULL;
}

uint64_t *ml_u64map_put(struct ml_u64map *map, uint64_t key, bool *is_new)
{
	if (3 * (map->count + 1) > 2 * map->capacity)
		grow(map);

	struct ml_u64map_slot *slot = find(map, key);
	bool added = !slot->used;

	if (added) {
		*slot = (struct ml_u64map_slot){.key = key, .used = true};
		map->count++;
	}
	if (is_new)
		*is_new = added;
	return &slot->value;
}

bool ml_u64map_remove(struct ml_u64map *map, uint64_t key)
{
	if (!map->count)
		return false;

	struct ml_u64map_slot *slot = find(map, key);

	if (!slot->used)
		return false;
	slot->used = false;
	map->count--;

	/* Close the gap: what follows in the same run may have been pushed past it. */
	size_t mask = map->capacity - 1;
	size_t i = ((size_t)(slot - map->slots) + 1) & mask;

	for (; map->slots[i].used; i = (i + 1) & mask) {
		struct ml_u64map_slot moved = map->slots[i];

		map->slots[i].used = false;
		*find(map, moved.key) = moved;
	}
	return true;
}

bool ml_u64map_next(const struct ml_u64map *map, size_t *cursor, uint64_t *key, uint64_t *value)
{
	for (; *cursor < map->capacity; (*cursor)++) {
		const struct ml_u64map_slot *slot = &map->slots[*cursor];

		if (!slot->used)
			continue;
		*key = slot->key;
		*value = slot->value;
		(*cursor)++;
		return true;
	}
	return false;
}

void ml_u64map_free(struct ml_u64map *map)
{
	free(map->slots);
	*map = (struct ml_u64map){0};
}

/* SPDX-License-Identifier: BSD-2-Clause */
/** A hash table from 64-bit keys to 64-bit values (often an index or a pointer). */
#ifndef ML_BASE_U64MAP_H
#define ML_BASE_U64MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** All-zero is empty. Open addressing, power-of-two capacity, at most 2/3 full. */
struct ml_u64map {
	struct ml_u64map_slot *slots; /**< owned */
	size_t capacity;
	size_t count;
};

struct ml_u64map_slot {
	uint64_t key;
	uint64_t value;
	bool used;
};

/** The value of @p key, or NULL. Lives until the next change of the table. */
uint64_t *ml_u64map_get(const struct ml_u64map *map, uint64_t key);

/** The value of @p key, made 0 when it was not there; @p is_new (may be NULL) tells which. */
uint64_t *ml_u64map_put(struct ml_u64map *map, uint64_t key, bool *is_new);

/** Takes @p key out; false when it was not there. */
bool ml_u64map_remove(struct ml_u64map *map, uint64_t key);

/** Walks the table: start with *@p cursor 0; false at the end. */
bool ml_u64map_next(const struct ml_u64map *map, size_t *cursor, uint64_t *key, uint64_t *value);

void ml_u64map_free(struct ml_u64map *map);

#endif

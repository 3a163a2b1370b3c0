/* SPDX-License-Identifier: BSD-2-Clause */
#include "symbols/string_pool.h"

#include <string.h>

static uint64_t hash_text(const char *text)
{
	uint64_t hash = 14695981039346656037ULL;

	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * 1099511628211ULL;
	return hash;
}

/* The pool's copy, or NULL; @p slot is where the index of a new one goes, NULL when another
 * string of the same hash has the place (then the new one is kept, but not found again). */
static const char *find(struct ml_string_pool *pool, const char *text, uint64_t **slot)
{
	bool is_new;
	uint64_t *index = ml_u64map_put(&pool->by_hash, hash_text(text), &is_new);

	*slot = is_new ? index : NULL;
	if (is_new || strcmp(pool->strings.items[*index], text) != 0)
		return NULL;
	return pool->strings.items[*index];
}

static const char *keep(struct ml_string_pool *pool, char *text, uint64_t *slot)
{
	if (slot)
		*slot = pool->strings.count;
	*ml_array_push(&pool->strings) = text;
	return text;
}

static char *cut(const char *text)
{
	char *beginning = ml_alloc(ML_POOLED_BYTES_MAX + 1);

	memcpy(beginning, text, ML_POOLED_BYTES_MAX);
	return beginning;
}

const char *ml_string_pool_add(struct ml_string_pool *pool, const char *text)
{
	if (!text)
		return NULL;
	if (strnlen(text, ML_POOLED_BYTES_MAX + 1) > ML_POOLED_BYTES_MAX)
		return ml_string_pool_take(pool, cut(text));

	uint64_t *slot;
	const char *known = find(pool, text, &slot);

	return known ? known : keep(pool, ml_strdup(text), slot);
}

const char *ml_string_pool_take(struct ml_string_pool *pool, char *text)
{
	uint64_t *slot;
	const char *known = find(pool, text, &slot);

	if (!known)
		return keep(pool, text, slot);
	free(text);
	return known;
}

void ml_string_pool_deinit(struct ml_string_pool *pool)
{
	ml_array_each (text, &pool->strings)
		free(*text);
	ml_array_free(&pool->strings);
	ml_u64map_free(&pool->by_hash);
}

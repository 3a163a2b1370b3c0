/* SPDX-License-Identifier: BSD-2-Clause */
/** Strings kept once and for as long as the pool. */
#ifndef ML_SYMBOLS_STRING_POOL_H
#define ML_SYMBOLS_STRING_POOL_H

#include "base/array.h"
#include "base/u64map.h"

/** All-zero is empty. */
struct ml_string_pool {
	ML_ARRAY(char *) strings;
	struct ml_u64map by_hash; /**< hash -> index in strings */
};

/** Longer texts are cut: names of the target, which a report repeats in each stack. */
#define ML_POOLED_BYTES_MAX 65536u

/** The pool's copy of @p text; NULL for NULL. */
const char *ml_string_pool_add(struct ml_string_pool *pool, const char *text);

/** Takes @p text (from malloc) over and returns the pool's copy. */
const char *ml_string_pool_take(struct ml_string_pool *pool, char *text);

void ml_string_pool_deinit(struct ml_string_pool *pool);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/** Gives equal byte strings equal numbers: 0, 1, 2, … in the order they are first seen. */
#ifndef ML_BASE_INTERN_H
#define ML_BASE_INTERN_H

#include "base/array.h"
#include "base/u64map.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ml_intern_entry {
	char *bytes;   /**< owned; a NUL follows */
	size_t length; /**< without that NUL */
	uint64_t next; /**< number + 1 of the next entry of the same hash, 0 = none */
};

/** All-zero is empty. */
struct ml_intern {
	struct ml_u64map by_hash; /**< hash → number + 1 of the newest entry */
	ML_ARRAY(struct ml_intern_entry) entries;
};

/** The number of @p bytes, which are copied when new; @p is_new may be NULL. */
size_t ml_intern_bytes(struct ml_intern *intern, const void *bytes, size_t length, bool *is_new);

/** The same for a text. */
size_t ml_intern_text(struct ml_intern *intern, const char *text, bool *is_new);

/** True when @p bytes have a number. */
bool ml_intern_has(const struct ml_intern *intern, const void *bytes, size_t length);

void ml_intern_free(struct ml_intern *intern);

#define ML_INTERN_CLEANUP __attribute__((cleanup(ml_intern_free)))

#endif

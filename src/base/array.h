/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Growing arrays of any element type: `ML_ARRAY(struct foo) foos = {0};`.
 *
 * The tool does not go on without memory for its own books: growing beyond what malloc gives ends
 * the process with a message (ml_grow() aborts). Sizes taken from a target are bounded by whoever
 * reads them, before they get here.
 */
#ifndef ML_BASE_ARRAY_H
#define ML_BASE_ARRAY_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/** An array type: `items` (owned), `count` in use, `capacity` allocated. All-zero is empty. */
#define ML_ARRAY(type)                                                                             \
	struct {                                                                                   \
		type *items;                                                                       \
		size_t count;                                                                      \
		size_t capacity;                                                                   \
	}

/** A zeroed block of @p size bytes; ends the process when there is no memory. */
void *ml_alloc(size_t size);

/** A copy of @p text, or NULL for NULL. */
char *ml_strdup(const char *text);

/** Grows @p items of @p size bytes each so that @p need fit; updates @p capacity. Never NULL. */
void *ml_grow(void *items, size_t *capacity, size_t need, size_t size);

/** A pointer to a new element at the end, its contents undefined. */
#define ml_array_push(array)                                                                       \
	((array)->items = ml_grow((array)->items, &(array)->capacity, (array)->count + 1,          \
				  sizeof(*(array)->items)),                                        \
	 &(array)->items[(array)->count++])

/** Room for @p need elements in all. */
#define ml_array_reserve(array, need)                                                              \
	((array)->items =                                                                          \
		 ml_grow((array)->items, &(array)->capacity, (need), sizeof(*(array)->items)))

/** Runs the block once for every element, with @p it pointing at it. */
#define ml_array_each(it, array)                                                                   \
	/* NULL + 0 is undefined in C before C2Y. */                                               \
	for (__typeof__((array)->items + 0) it = (array)->items,                                   \
					    it##_end = it ? it + (array)->count : it;              \
	     it != it##_end; it++)

/** What a comparison for qsort() gives for two numbers, the smaller one first. */
static inline int ml_compare_u64(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

/**
 * How many of the first @p count_ @p items, which are sorted by their @p member, have one of at
 * most
 * @p value: the last of them is the one that begins at or before it.
 */
#define ml_sorted_up_to(items, count_, member, value)                                              \
	({                                                                                         \
		size_t low_ = 0, high_ = (count_);                                                 \
                                                                                                   \
		while (low_ < high_) {                                                             \
			size_t middle_ = low_ + (high_ - low_) / 2;                                \
                                                                                                   \
			if ((items)[middle_].member <= (value))                                    \
				low_ = middle_ + 1;                                                \
			else                                                                       \
				high_ = middle_;                                                   \
		}                                                                                  \
		low_;                                                                              \
	})

/** Frees the elements' memory (not what they point to) and makes the array empty. */
#define ml_array_free(array)                                                                       \
	do {                                                                                       \
		free((array)->items);                                                              \
		(array)->items = NULL;                                                             \
		(array)->count = (array)->capacity = 0;                                            \
	} while (0)

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * The books of direct mmap, munmap and mremap calls: ranges, because an munmap may take a part of
 * one mapping or parts of several, and a MAP_FIXED mmap replaces what it overlays.
 *
 * Events come from a ring in the kernel, nearly in order; they are applied by time.
 */
#ifndef ML_TRACE_MAP_BOOKS_H
#define ML_TRACE_MAP_BOOKS_H

#include "model/snapshot.h"
#include "shared/trace_abi.h"

struct ml_map_books;

struct ml_map_books *ml_map_books_create(void);
/** NULL is fine. */
void ml_map_books_destroy(struct ml_map_books *books);

/** Takes note of @p event; it counts from the next ml_map_books_settle() on. */
void ml_map_books_add(struct ml_map_books *books, const struct ml_map_event *event);

/** Applies what was noted, in the order of time. */
void ml_map_books_settle(struct ml_map_books *books);

/** Adds the books of mappings to @p snapshot, by @p filter as the tables of blocks are. */
void ml_map_books_snapshot(const struct ml_map_books *books,
			   const struct ml_snapshot_filter *filter, struct ml_snapshot *snapshot);

/** Moves everything of process @p pid to @p to. */
void ml_map_books_give(struct ml_map_books *from, pid_t pid, struct ml_map_books *to);

/** Forgets everything of process @p pid. */
void ml_map_books_forget(struct ml_map_books *books, pid_t pid);

#endif

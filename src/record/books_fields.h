/* SPDX-License-Identifier: BSD-2-Clause */
/** The figures of a site that a recording keeps: bit i of an entry's mask is field i. */
#ifndef ML_RECORD_BOOKS_FIELDS_H
#define ML_RECORD_BOOKS_FIELDS_H

#include "model/residue.h"
#include "model/snapshot.h"

#include <stddef.h>

/** New ones at the end only, and no more than 64. */
static const size_t ml_books_fields[] = {
	offsetof(struct ml_site_books, allocs),
	offsetof(struct ml_site_books, frees),
	offsetof(struct ml_site_books, alloc_bytes),
	offsetof(struct ml_site_books, free_bytes),
	offsetof(struct ml_site_books, live_bytes),
	offsetof(struct ml_site_books, live_count),
	offsetof(struct ml_site_books, shown_bytes),
	offsetof(struct ml_site_books, shown_count),
	offsetof(struct ml_site_books, oldest_born_ns),
	offsetof(struct ml_site_books, newest_born_ns),
	offsetof(struct ml_site_books, lost_bytes),
	offsetof(struct ml_site_books, lost_count),
};
#define ML_BOOKS_FIELDS (sizeof(ml_books_fields) / sizeof(ml_books_fields[0]))
/* All but the id and the cohorts, in place of which what they say is recorded. */
_Static_assert(sizeof(struct ml_site_books) == (ML_BOOKS_FIELDS + 2) * sizeof(uint64_t),
	       "a figure is missing in the list: recordings would lose it");

static inline uint64_t *ml_books_field(struct ml_site_books *books, size_t i)
{
	return (uint64_t *)((char *)books + ml_books_fields[i]);
}

/** The figures of a straight residue, after its shape and from_ns. */
static const size_t ml_residue_fields[] = {
	offsetof(struct ml_residue, settle_s), offsetof(struct ml_residue, span_s),
	offsetof(struct ml_residue, blocks),   offsetof(struct ml_residue, bytes),
	offsetof(struct ml_residue, allocs),
};
#define ML_RESIDUE_FIELDS (sizeof(ml_residue_fields) / sizeof(ml_residue_fields[0]))

static inline double *ml_residue_field(struct ml_residue *residue, size_t i)
{
	return (double *)((char *)residue + ml_residue_fields[i]);
}

#endif

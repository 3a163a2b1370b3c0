/* SPDX-License-Identifier: BSD-2-Clause */
/** Writes the books of a moment as what is different from those of the moment before. */
#ifndef ML_RECORD_BOOKS_WRITER_H
#define ML_RECORD_BOOKS_WRITER_H

#include "base/u64map.h"
#include "model/timeline.h"
#include "record/items.h"

/** A site as it was written last. */
struct ml_written_site {
	struct ml_site_books books; /**< all 0 but `stack` when it is not there */
	bool is_there;
	struct ml_residue residue;
	uint64_t moment; /**< number of the newest moment that has it */
};

struct ml_books_writer {
	struct ml_items *items;                 /**< borrowed */
	struct ml_u64map numbers;               /**< stack id → number of the site */
	ML_ARRAY(struct ml_written_site) sites; /**< by number */
	ML_ARRAY(struct ml_block) blocks;       /**< as written, by address */
	uint64_t moment;
};

/** Gives the new sites of @p snapshot numbers, and writes their ids. */
void ml_books_writer_number(struct ml_books_writer *writer, const struct ml_snapshot *snapshot);

/** The number of the site of stack @p id, which has one. */
size_t ml_books_writer_site(const struct ml_books_writer *writer, uint64_t id);

/**
 * Writes what changed in the sites and blocks of @p snapshot, whose sites have numbers, and what
 * @p timeline, which has it, knows of their residues.
 */
void ml_books_writer_add(struct ml_books_writer *writer, const struct ml_snapshot *snapshot,
			 const struct ml_timeline *timeline);

void ml_books_writer_deinit(struct ml_books_writer *writer);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/** The other side of books_writer.h: the sites and blocks of the moment reached. */
#ifndef ML_RECORD_BOOKS_READER_H
#define ML_RECORD_BOOKS_READER_H

#include "base/cursor.h"
#include "base/u64map.h"
#include "model/timeline.h"
#include "record/budget.h"
#include "record/format.h"

struct ml_read_site {
	struct ml_site_books books;
	struct ml_residue residue;
	bool is_there;
};

struct ml_books_reader {
	struct ml_record_budget *limits;     /**< borrowed */
	ML_ARRAY(struct ml_read_site) sites; /**< by number */
	ML_ARRAY(struct ml_block) blocks;
	struct ml_u64map block_index; /**< address and process → index in blocks */
	size_t there;                 /**< sites that are there */
};

/**
 * Reads the item of kind @p kind at @p item; like ml_names_reader_take(). The ids of new sites are
 * the caller's to read.
 */
bool ml_books_reader_take(struct ml_books_reader *reader, enum ml_item kind,
			  struct ml_cursor *item);

/** A new site of stack @p id, which is not there yet. */
bool ml_books_reader_add_site(struct ml_books_reader *reader, uint64_t id);

/** Fills the sites and blocks of @p snapshot, which is all-zero or was filled before. */
void ml_books_reader_fill(const struct ml_books_reader *reader, struct ml_snapshot *snapshot);

/** Tells @p timeline, which has the snapshot filled, what is known of the sites' residues. */
void ml_books_reader_residues(const struct ml_books_reader *reader, struct ml_timeline *timeline);

void ml_books_reader_deinit(struct ml_books_reader *reader);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
#include "record/books_reader.h"

#include "record/books_fields.h"

#include <limits.h>
#include <math.h>

bool ml_books_reader_add_site(struct ml_books_reader *reader, uint64_t id)
{
	*ml_array_push(&reader->sites) = (struct ml_read_site){.books = {.stack = id}};
	/* With its part of a snapshot and of a history. */
	return ml_record_charge(reader->limits, 4 * sizeof(struct ml_read_site));
}

/* The site whose number is next, as a distance from *@last; NULL when there is no such site. */
static struct ml_read_site *next_site(struct ml_books_reader *reader, struct ml_cursor *item,
				      uint64_t *last)
{
	*last += (uint64_t)ml_cursor_sleb(item);
	if (item->failed || *last >= reader->sites.count) {
		ml_cursor_fail(item);
		return NULL;
	}
	return &reader->sites.items[*last];
}

static void take_site(struct ml_books_reader *reader, struct ml_cursor *item, uint64_t *last)
{
	struct ml_read_site *site = next_site(reader, item, last);
	uint64_t mask = ml_cursor_uleb(item);

	if (!site || item->failed)
		return;
	for (size_t i = 0; i < 64; i++) {
		uint64_t difference;

		if (!(mask >> i & 1))
			continue;
		difference = (uint64_t)ml_cursor_sleb(item);
		/* Figures of a later minor version have no place here. */
		if (i < ML_BOOKS_FIELDS)
			*ml_books_field(&site->books, i) += difference;
	}
	reader->there += !site->is_there;
	site->is_there = true;
}

static void take_gone(struct ml_books_reader *reader, struct ml_cursor *item, uint64_t *last)
{
	struct ml_read_site *site = next_site(reader, item, last);

	if (!site)
		return;
	reader->there -= site->is_there;
	*site = (struct ml_read_site){.books = {.stack = site->books.stack}};
}

/* Processes are told apart by spreading their numbers over all bits. */
static uint64_t block_key(uint64_t address, pid_t pid)
{
	return address ^ (uint64_t)pid * 0x9e3779b97f4a7c15ULL;
}

static pid_t next_pid(struct ml_cursor *item)
{
	int64_t pid = ml_cursor_sleb(item);

	if (pid < INT_MIN || pid > INT_MAX)
		ml_cursor_fail(item);
	return (pid_t)pid;
}

static bool take_block(struct ml_books_reader *reader, struct ml_cursor *item, uint64_t *last)
{
	struct ml_block block;
	uint64_t number;

	*last += (uint64_t)ml_cursor_sleb(item);
	block.address = *last;
	block.pid = next_pid(item);
	block.size = ml_cursor_uleb(item);
	number = ml_cursor_uleb(item);
	block.born_ns = ml_cursor_uleb(item);
	block.tid = next_pid(item);
	if (item->failed || number >= reader->sites.count) {
		ml_cursor_fail(item);
		return true;
	}
	block.stack = reader->sites.items[number].books.stack;

	bool is_new;
	uint64_t *index =
		ml_u64map_put(&reader->block_index, block_key(block.address, block.pid), &is_new);

	if (!is_new) {
		reader->blocks.items[*index] = block;
		return true;
	}
	*index = reader->blocks.count;
	*ml_array_push(&reader->blocks) = block;
	/* Three times: here, in a snapshot and in a report. */
	return ml_record_charge(reader->limits, 4 * sizeof(block));
}

static void take_freed(struct ml_books_reader *reader, struct ml_cursor *item, uint64_t *last)
{
	*last += (uint64_t)ml_cursor_sleb(item);

	uint64_t key = block_key(*last, next_pid(item));
	const uint64_t *found = ml_u64map_get(&reader->block_index, key);

	if (!found) {
		ml_cursor_fail(item);
		return;
	}
	size_t index = (size_t)*found;
	struct ml_block *end = &reader->blocks.items[--reader->blocks.count];

	*ml_u64map_put(&reader->block_index, block_key(end->address, end->pid), NULL) = index;
	reader->blocks.items[index] = *end;
	ml_u64map_remove(&reader->block_index, key);
	reader->limits->memory_bytes += 4 * sizeof(*end);
}

static void take_residue(struct ml_books_reader *reader, struct ml_cursor *item, uint64_t *last)
{
	struct ml_read_site *site = next_site(reader, item, last);
	uint64_t shape = ml_cursor_uleb(item);
	struct ml_residue residue = {.shape = (enum ml_residue_shape)shape};

	if (!site || shape > ML_RESIDUE_STRAIGHT) {
		ml_cursor_fail(item);
		return;
	}
	if (shape == ML_RESIDUE_STRAIGHT) {
		residue.from_ns = ml_cursor_uleb(item);
		for (size_t i = 0; i < ML_RESIDUE_FIELDS; i++) {
			double value = ml_cursor_double(item);

			if (!isfinite(value) || value < 0)
				ml_cursor_fail(item);
			*ml_residue_field(&residue, i) = value;
		}
		if (residue.span_s <= 0)
			ml_cursor_fail(item);
	}
	site->residue = residue;
}

bool ml_books_reader_take(struct ml_books_reader *reader, enum ml_item kind, struct ml_cursor *item)
{
	uint64_t count = ml_cursor_uleb(item), last = 0;
	bool is_within = true;

	if (count > ML_ITEM_ENTRIES)
		ml_cursor_fail(item);
	for (uint64_t i = 0; is_within && i < count && !item->failed; i++) {
		switch (kind) {
		case ML_ITEM_SITES:
			take_site(reader, item, &last);
			break;
		case ML_ITEM_GONE_SITES:
			take_gone(reader, item, &last);
			break;
		case ML_ITEM_BLOCKS:
			is_within = take_block(reader, item, &last);
			break;
		case ML_ITEM_FREED_BLOCKS:
			take_freed(reader, item, &last);
			break;
		case ML_ITEM_RESIDUES:
			take_residue(reader, item, &last);
			break;
		default:
			return true;
		}
	}
	return is_within;
}

void ml_books_reader_fill(const struct ml_books_reader *reader, struct ml_snapshot *snapshot)
{
	snapshot->sites.count = snapshot->blocks.count = 0;
	ml_array_reserve(&snapshot->sites, reader->there);
	ml_array_each (site, &reader->sites) {
		if (site->is_there)
			*ml_array_push(&snapshot->sites) = site->books;
	}
	ml_array_reserve(&snapshot->blocks, reader->blocks.count);
	ml_array_each (block, &reader->blocks)
		*ml_array_push(&snapshot->blocks) = *block;
}

void ml_books_reader_residues(const struct ml_books_reader *reader, struct ml_timeline *timeline)
{
	ml_array_each (site, &reader->sites) {
		if (site->is_there && site->residue.shape != ML_RESIDUE_NONE)
			ml_timeline_set_residue(timeline, site->books.stack, &site->residue);
	}
}

void ml_books_reader_deinit(struct ml_books_reader *reader)
{
	ml_array_free(&reader->sites);
	ml_array_free(&reader->blocks);
	ml_u64map_free(&reader->block_index);
}

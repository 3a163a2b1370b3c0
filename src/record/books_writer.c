/* SPDX-License-Identifier: BSD-2-Clause */
#include "record/books_writer.h"

#include "base/leb.h"
#include "record/books_fields.h"

#include <stdlib.h>

size_t ml_books_writer_site(const struct ml_books_writer *writer, uint64_t id)
{
	return (size_t)*ml_u64map_get(&writer->numbers, id);
}

void ml_books_writer_number(struct ml_books_writer *writer, const struct ml_snapshot *snapshot)
{
	struct ml_strbuf *item = &writer->items->item;

	ml_array_each (books, &snapshot->sites) {
		bool is_new;
		uint64_t *number = ml_u64map_put(&writer->numbers, books->stack, &is_new);

		if (!is_new)
			continue;
		*number = writer->sites.count;
		*ml_array_push(&writer->sites) =
			(struct ml_written_site){.books = {.stack = books->stack}};
		ml_leb_fixed(item, books->stack, 8);
		if (item->length >= 8 * ML_ITEM_ENTRIES)
			ml_items_add(writer->items, ML_ITEM_NEW_SITES);
	}
	if (item->length)
		ml_items_add(writer->items, ML_ITEM_NEW_SITES);
}

/* Entries of one item: a count in front, and numbers as distances from the one before. */
struct entries {
	struct ml_items *items;
	enum ml_item kind;
	struct ml_strbuf text;
	uint64_t count, last;
};

static void end_entries(struct entries *entries)
{
	if (entries->count) {
		ml_leb_unsigned(&entries->items->item, entries->count);
		ml_strbuf_add(&entries->items->item, entries->text.text, entries->text.length);
		ml_items_add(entries->items, entries->kind);
	}
	ml_strbuf_clear(&entries->text);
	entries->count = entries->last = 0;
}

/* Starts an entry called @number. */
static struct ml_strbuf *add_entry(struct entries *entries, uint64_t number)
{
	if (entries->count == ML_ITEM_ENTRIES)
		end_entries(entries);
	ml_leb_signed(&entries->text, (int64_t)(number - entries->last));
	entries->last = number;
	entries->count++;
	return &entries->text;
}

static void free_entries(struct entries *entries)
{
	end_entries(entries);
	ml_strbuf_free(&entries->text);
}

static uint64_t changed_fields(struct ml_site_books *before, struct ml_site_books *now)
{
	uint64_t mask = 0;

	for (size_t i = 0; i < ML_BOOKS_FIELDS; i++)
		if (*ml_books_field(before, i) != *ml_books_field(now, i))
			mask |= 1ULL << i;
	return mask;
}

static void write_changes(struct ml_books_writer *writer, const struct ml_snapshot *snapshot)
{
	struct entries entries = {.items = writer->items, .kind = ML_ITEM_SITES};

	ml_array_each (it, &snapshot->sites) {
		struct ml_site_books now = *it;
		size_t number = ml_books_writer_site(writer, now.stack);
		struct ml_written_site *site = &writer->sites.items[number];
		uint64_t mask = changed_fields(&site->books, &now);
		struct ml_strbuf *text;

		site->moment = writer->moment;
		if (!mask && site->is_there)
			continue;
		site->is_there = true;
		text = add_entry(&entries, number);
		ml_leb_unsigned(text, mask);
		for (size_t i = 0; i < ML_BOOKS_FIELDS; i++)
			if (mask >> i & 1)
				ml_leb_signed(text, (int64_t)(*ml_books_field(&now, i) -
							      *ml_books_field(&site->books, i)));
		site->books = now;
	}
	free_entries(&entries);
}

static void write_gone(struct ml_books_writer *writer)
{
	struct entries entries = {.items = writer->items, .kind = ML_ITEM_GONE_SITES};

	for (size_t i = 0; i < writer->sites.count; i++) {
		struct ml_written_site *site = &writer->sites.items[i];

		if (!site->is_there || site->moment == writer->moment)
			continue;
		add_entry(&entries, i);
		site->is_there = false;
		site->books = (struct ml_site_books){.stack = site->books.stack};
		site->residue.shape = ML_RESIDUE_NONE;
	}
	free_entries(&entries);
}

static int compare_blocks(const void *left, const void *right)
{
	const struct ml_block *a = left, *b = right;

	if (a->address != b->address)
		return a->address < b->address ? -1 : 1;
	return (a->pid > b->pid) - (a->pid < b->pid);
}

static bool is_same_block(const struct ml_block *a, const struct ml_block *b)
{
	return a->size == b->size && a->stack == b->stack && a->born_ns == b->born_ns &&
	       a->tid == b->tid;
}

static void write_block(struct ml_books_writer *writer, struct entries *entries,
			const struct ml_block *block)
{
	struct ml_strbuf *text = add_entry(entries, block->address);

	ml_leb_signed(text, block->pid);
	ml_leb_unsigned(text, block->size);
	ml_leb_unsigned(text, ml_books_writer_site(writer, block->stack));
	ml_leb_unsigned(text, block->born_ns);
	ml_leb_signed(text, block->tid);
}

static void write_freed(struct entries *entries, const struct ml_block *block)
{
	ml_leb_signed(add_entry(entries, block->address), block->pid);
}

/* Walks both lists, which are sorted, side by side. */
static void write_blocks(struct ml_books_writer *writer, const struct ml_block *now, size_t count)
{
	struct entries added = {.items = writer->items, .kind = ML_ITEM_BLOCKS};
	struct entries freed = {.items = writer->items, .kind = ML_ITEM_FREED_BLOCKS};
	const struct ml_block *before = writer->blocks.items;
	size_t i = 0, j = 0;

	while (i < writer->blocks.count || j < count) {
		int order = i == writer->blocks.count ? 1
			    : j == count              ? -1
						      : compare_blocks(&before[i], &now[j]);

		if (order < 0 || (!order && !is_same_block(&before[i], &now[j])))
			write_freed(&freed, &before[i]);
		if (order > 0 || (!order && !is_same_block(&before[i], &now[j])))
			write_block(writer, &added, &now[j]);
		i += order <= 0;
		j += order >= 0;
	}
	/* Freed ones first: the address may be in use again. */
	free_entries(&freed);
	free_entries(&added);
}

/* One block an address: a mapping and an allocator's block within it can have the same. */
static size_t drop_twins(struct ml_block *blocks, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++)
		if (!kept || compare_blocks(&blocks[kept - 1], &blocks[i]))
			blocks[kept++] = blocks[i];
	return kept;
}

static void add_blocks(struct ml_books_writer *writer, const struct ml_snapshot *snapshot)
{
	struct ml_block *sorted;
	size_t count = 0;

	if (!snapshot->blocks.count && !writer->blocks.count)
		return;
	sorted = ml_alloc(snapshot->blocks.count * sizeof(*sorted));
	ml_array_each (block, &snapshot->blocks) {
		if (ml_u64map_get(&writer->numbers, block->stack))
			sorted[count++] = *block;
	}
	qsort(sorted, count, sizeof(*sorted), compare_blocks);
	count = drop_twins(sorted, count);
	write_blocks(writer, sorted, count);
	ml_array_free(&writer->blocks);
	writer->blocks.items = sorted;
	writer->blocks.count = writer->blocks.capacity = count;
}

static void write_residues(struct ml_books_writer *writer, const struct ml_snapshot *snapshot,
			   const struct ml_timeline *timeline)
{
	struct entries entries = {.items = writer->items, .kind = ML_ITEM_RESIDUES};

	ml_array_each (it, &snapshot->sites) {
		size_t number = ml_books_writer_site(writer, it->stack);
		struct ml_written_site *site = &writer->sites.items[number];
		struct ml_residue residue;
		struct ml_strbuf *text;

		ml_residue_measure(timeline, it->stack, &residue);
		if (residue.shape == site->residue.shape && residue.shape != ML_RESIDUE_STRAIGHT)
			continue;
		site->residue = residue;
		text = add_entry(&entries, number);
		ml_leb_unsigned(text, residue.shape);
		if (residue.shape != ML_RESIDUE_STRAIGHT)
			continue;
		ml_leb_unsigned(text, residue.from_ns);
		for (size_t i = 0; i < ML_RESIDUE_FIELDS; i++)
			ml_leb_double(text, *ml_residue_field(&residue, i));
	}
	free_entries(&entries);
}

void ml_books_writer_add(struct ml_books_writer *writer, const struct ml_snapshot *snapshot,
			 const struct ml_timeline *timeline)
{
	writer->moment++;
	write_changes(writer, snapshot);
	write_gone(writer);
	write_residues(writer, snapshot, timeline);
	add_blocks(writer, snapshot);
}

void ml_books_writer_deinit(struct ml_books_writer *writer)
{
	ml_u64map_free(&writer->numbers);
	ml_array_free(&writer->sites);
	ml_array_free(&writer->blocks);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "elf/symbol_table.h"

#include <stdlib.h>
#include <string.h>

#define ENTRIES_MAX (4U << 20)
/* Names are compared up to here: thousands of symbols may share one endless name. */
#define COMPARED_MAX 1024

struct ml_symbol_entry *ml_symbol_table_push(struct ml_symbol_table *table)
{
	return table->entries.count < ENTRIES_MAX ? ml_array_push(&table->entries) : NULL;
}

static const char *name_of(const struct ml_symbol_table *table, const struct ml_symbol_entry *entry)
{
	return table->names[entry->source] + entry->name;
}

/* By address; longer ones first, so that what is inside something comes after it. */
static int compare_entries(const void *left, const void *right)
{
	const struct ml_symbol_entry *a = left, *b = right;

	if (a->address != b->address)
		return a->address < b->address ? -1 : 1;
	if (a->is_sized != b->is_sized)
		return a->is_sized ? -1 : 1;
	if (a->end != b->end)
		return a->end > b->end ? -1 : 1;
	if (a->source != b->source)
		return a->source < b->source ? -1 : 1;
	return (a->name > b->name) - (a->name < b->name);
}

/* Entries of one address, now that all of them have an end. */
static int compare_ends(const void *left, const void *right)
{
	const struct ml_symbol_entry *a = left, *b = right;

	if (a->end != b->end)
		return a->end > b->end ? -1 : 1;
	return compare_entries(left, right);
}

/* Symbols without a size (hand-written assembly) end where an alias does, else at the next
 * symbol, else with their section (where they end already). */
static void end_unsized(struct ml_symbol_table *table)
{
	struct ml_symbol_entry *entries = table->entries.items;
	size_t count = table->entries.count;

	for (size_t first = 0, next; first < count; first = next) {
		bool has_unsized = false;

		for (next = first; next < count && entries[next].address == entries[first].address;
		     next++)
			has_unsized |= !entries[next].is_sized;
		if (!has_unsized)
			continue;
		for (size_t i = first; i < next; i++) {
			if (entries[i].is_sized)
				continue;
			if (entries[first].is_sized)
				entries[i].end = entries[first].end;
			else if (next < count && entries[next].address < entries[i].end)
				entries[i].end = entries[next].address;
		}
		qsort(&entries[first], next - first, sizeof(*entries), compare_ends);
	}
}

/* True when people know the function by @p a rather than by @p b. */
static bool is_preferred(const struct ml_symbol_table *table, const struct ml_symbol_entry *a,
			 const struct ml_symbol_entry *b)
{
	if (a->is_public != b->is_public)
		return a->is_public;

	const char *a_name = name_of(table, a), *b_name = name_of(table, b);

	if ((a_name[0] == '_') != (b_name[0] == '_'))
		return b_name[0] == '_';

	size_t a_length = strnlen(a_name, COMPARED_MAX), b_length = strnlen(b_name, COMPARED_MAX);

	if (a_length != b_length)
		return a_length < b_length;
	return strncmp(a_name, b_name, COMPARED_MAX) < 0;
}

typedef ML_ARRAY(uint32_t) index_stack;

static void add_range(struct ml_symbol_table *table, uint64_t start, uint32_t entry)
{
	size_t count = table->ranges.count;
	struct ml_symbol_range *range;

	if (count > 0 && table->ranges.items[count - 1].start == start)
		range = &table->ranges.items[count - 1];
	else
		range = ml_array_push(&table->ranges);
	*range = (struct ml_symbol_range){.start = start, .entry = entry};
}

/* Takes those off the stack that end at or before @p address; behind each, what is around it
 * goes on. */
static void leave_entries(struct ml_symbol_table *table, index_stack *open, uint64_t address)
{
	const struct ml_symbol_entry *entries = table->entries.items;

	while (open->count > 0) {
		uint64_t end = entries[open->items[open->count - 1]].end;

		if (end > address)
			return;
		while (open->count > 0 && entries[open->items[open->count - 1]].end <= end)
			open->count--;
		if (open->count > 0)
			add_range(table, end, open->items[open->count - 1]);
	}
}

/* Nested and overlapping symbols into ranges: the one that begins last wins, and of those that
 * begin together the preferred one. A label without a size inside a function that has one does
 * not count. */
static void build_ranges(struct ml_symbol_table *table)
{
	const struct ml_symbol_entry *entries = table->entries.items;
	index_stack open = {0};

	for (uint32_t i = 0; i < table->entries.count; i++) {
		leave_entries(table, &open, entries[i].address);

		const struct ml_symbol_entry *top =
			open.count > 0 ? &entries[open.items[open.count - 1]] : NULL;

		if (top && top->address == entries[i].address &&
		    !is_preferred(table, &entries[i], top))
			continue;
		if (top && top->address < entries[i].address && top->is_sized &&
		    !entries[i].is_sized)
			continue;
		*ml_array_push(&open) = i;
		add_range(table, entries[i].address, i);
	}
	leave_entries(table, &open, UINT64_MAX);
	ml_array_free(&open);
}

static void forget_names(struct ml_symbol_table *table)
{
	free(table->buckets);
	free(table->chain);
	table->buckets = table->chain = NULL;
	table->bucket_count = 0;
}

void ml_symbol_table_index(struct ml_symbol_table *table)
{
	forget_names(table);
	table->ranges.count = 0;
	if (table->entries.count == 0)
		return;
	qsort(table->entries.items, table->entries.count, sizeof(*table->entries.items),
	      compare_entries);
	end_unsized(table);
	build_ranges(table);
}

struct ml_symbol ml_symbol_of_entry(const struct ml_symbol_entry *entry, const char *name)
{
	return (struct ml_symbol){
		.address = entry->address,
		.size = entry->is_sized ? entry->end - entry->address : 0,
		.name = name,
		.is_dynamic = entry->source == ML_SYMBOL_DYNAMIC,
		.is_ifunc = entry->is_ifunc,
	};
}

static void fill_symbol(const struct ml_symbol_table *table, const struct ml_symbol_entry *entry,
			struct ml_symbol *out)
{
	*out = ml_symbol_of_entry(entry, name_of(table, entry));
}

bool ml_symbol_table_at(const struct ml_symbol_table *table, uint64_t address,
			struct ml_symbol *out)
{
	const struct ml_symbol_range *ranges = table->ranges.items;
	size_t low = ml_sorted_up_to(ranges, table->ranges.count, start, address);

	if (low == 0)
		return false;

	const struct ml_symbol_entry *entry = &table->entries.items[ranges[low - 1].entry];

	if (address >= entry->end)
		return false;
	fill_symbol(table, entry, out);
	return true;
}

static uint32_t hash_name(const char *name)
{
	uint32_t hash = 2166136261U;

	for (size_t i = 0; name[i] && i < COMPARED_MAX; i++)
		hash = (hash ^ (uint8_t)name[i]) * 16777619U;
	return hash ^ hash >> 15;
}

static void build_names(struct ml_symbol_table *table)
{
	uint32_t count = 64;

	while (count < table->entries.count)
		count *= 2;
	table->bucket_count = count;
	table->buckets = ml_alloc(count * sizeof(*table->buckets));
	table->chain = ml_alloc(table->entries.count * sizeof(*table->chain));
	for (uint32_t i = 0; i < table->entries.count; i++) {
		uint32_t bucket = hash_name(name_of(table, &table->entries.items[i])) & (count - 1);

		table->chain[i] = table->buckets[bucket];
		table->buckets[bucket] = i + 1;
	}
}

bool ml_symbol_table_named(struct ml_symbol_table *table, const char *name, struct ml_symbol *out)
{
	const struct ml_symbol_entry *best = NULL;

	if (!table->buckets)
		build_names(table);

	uint32_t at = table->buckets[hash_name(name) & (table->bucket_count - 1)];

	for (; at; at = table->chain[at - 1]) {
		const struct ml_symbol_entry *entry = &table->entries.items[at - 1];

		if (best &&
		    (best->is_public > entry->is_public ||
		     (best->is_public == entry->is_public && best->source <= entry->source)))
			continue;
		if (strcmp(name_of(table, entry), name) == 0)
			best = entry;
	}
	if (!best)
		return false;
	fill_symbol(table, best, out);
	return true;
}

void ml_symbol_table_each(const struct ml_symbol_table *table, enum ml_symbol_source source,
			  void (*visit)(const struct ml_symbol *symbol, void *context),
			  void *context)
{
	for (size_t i = 0; i < table->entries.count; i++) {
		const struct ml_symbol_entry *entry = &table->entries.items[i];
		struct ml_symbol symbol;

		if (entry->source != source)
			continue;
		fill_symbol(table, entry, &symbol);
		visit(&symbol, context);
	}
}

void ml_symbol_table_deinit(struct ml_symbol_table *table)
{
	forget_names(table);
	ml_array_free(&table->entries);
	ml_array_free(&table->ranges);
	for (size_t i = 0; i < ML_SYMBOL_SOURCES; i++)
		free(table->names[i]);
	memset(table, 0, sizeof(*table));
}

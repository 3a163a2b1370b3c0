/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/unwind_tables.h"

#include "base/array.h"
#include "base/file.h"
#include "unwind/rows.h"

#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* A module's place in the tables. */
struct stored {
	const struct ml_module *module; /* the original of those that share its contents */
	uint64_t base;                  /* ELF address of pc 0 */
	uint32_t page_first, page_count, page_base;
};

/* One of the two arrays of words. */
struct table {
	uint64_t *memory; /* borrowed; NULL: the kernel's, reached through fd */
	int fd;           /* borrowed */
	size_t limit, count;
};

struct ml_unwind_tables {
	struct table rows, pages;
	uint64_t refused;
	uint32_t version; /* the last given out; 0 for none */
	ML_ARRAY(struct stored) modules;
};

static struct ml_unwind_tables *create(struct table rows, struct table pages)
{
	struct ml_unwind_tables *tables = ml_alloc(sizeof(*tables));

	tables->rows = rows;
	tables->pages = pages;
	tables->rows.count = 1; /* row 0 stays empty: the one before the first */
	return tables;
}

struct ml_unwind_tables *ml_unwind_tables_create(int rows_fd, size_t row_limit, int pages_fd,
						 size_t page_limit)
{
	return create((struct table){.fd = rows_fd, .limit = row_limit},
		      (struct table){.fd = pages_fd, .limit = page_limit});
}

struct ml_unwind_tables *ml_unwind_tables_create_in(uint64_t *rows, size_t row_limit,
						    uint64_t *pages, size_t page_limit)
{
	return create((struct table){.memory = rows, .fd = -1, .limit = row_limit},
		      (struct table){.memory = pages, .fd = -1, .limit = page_limit});
}

void ml_unwind_tables_destroy(struct ml_unwind_tables *tables)
{
	if (!tables)
		return;
	ml_array_free(&tables->modules);
	free(tables);
}

/*
 * Puts @count words behind those of @table. The kernel's array is mapped for that moment and only
 * where it is written: a mapping counts as the tool's memory, used or not. False when it cannot be.
 */
static bool append(struct table *table, const void *words, size_t count)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t start = table->count * sizeof(uint64_t), skip = start % page;
	size_t size = count * sizeof(uint64_t);

	if (table->memory) {
		memcpy(table->memory + table->count, words, size);
		table->count += count;
		return true;
	}

	void *memory = mmap(NULL, skip + size, PROT_READ | PROT_WRITE, MAP_SHARED, table->fd,
			    (off_t)(start - skip));

	if (memory == MAP_FAILED)
		return false;
	memcpy((uint8_t *)memory + skip, words, size);
	munmap(memory, skip + size);
	table->count += count;
	return true;
}

/* The rows of a module behind an empty row: what is in effect before the first. */
static bool append_rows(struct table *table, const struct ml_unwind_rows *rows)
{
	static const struct ml_unwind_row none;

	return append(table, &none, 1) && append(table, rows->rows, rows->count);
}

/* For each KiB of code the first row in it and the first behind it. */
static bool append_pages(struct table *table, const struct ml_unwind_rows *rows, size_t first)
{
	ML_FREE_CLEANUP uint64_t *words = ml_alloc(rows->page_count * sizeof(*words));

	for (size_t i = 0; i < rows->page_count; i++)
		words[i] = (first + rows->pages[i]) | (uint64_t)(first + rows->pages[i + 1]) << 32;
	return append(table, words, rows->page_count);
}

static bool store(struct ml_unwind_tables *tables, const struct ml_unwind_rows *rows,
		  struct stored *place)
{
	size_t first_row = tables->rows.count + 1, first_page = tables->pages.count;

	if (first_row + rows->count > tables->rows.limit ||
	    first_page + rows->page_count > tables->pages.limit ||
	    !append_rows(&tables->rows, rows) || !append_pages(&tables->pages, rows, first_row))
		return false;
	place->page_first = (uint32_t)first_page;
	place->page_count = rows->page_count;
	place->page_base = rows->page_base;
	return true;
}

static struct stored *add(struct ml_unwind_tables *tables, struct ml_module *module)
{
	struct ml_unwind_rows rows = {0};
	ML_ERROR_CLEANUP struct ml_error *error = ml_unwind_rows_build(module, &rows);
	struct stored *place = ml_array_push(&tables->modules);

	ml_module_drop_section(module, ".eh_frame");
	ml_module_drop_section(module, ".debug_frame");
	*place = (struct stored){.module = module};
	if (error)
		return place;
	place->base = rows.base;
	if (rows.count && !store(tables, &rows, place))
		tables->refused++;
	ml_unwind_rows_deinit(&rows);
	return place;
}

void ml_unwind_tables_describe(struct ml_unwind_tables *tables, struct ml_module *module,
			       uint64_t load_bias, struct ml_process_map *map)
{
	struct stored *place = NULL;

	module = ml_module_original(module);
	ml_array_each (stored, &tables->modules)
		if (stored->module == module)
			place = stored;
	if (!place)
		place = add(tables, module);
	map->bias = load_bias + place->base;
	map->page_first = place->page_first;
	map->page_count = place->page_count;
	map->page_base = place->page_base;
}

void ml_unwind_tables_counts(const struct ml_unwind_tables *tables, size_t *rows, size_t *pages)
{
	*rows = tables->rows.count;
	*pages = tables->pages.count;
}

uint64_t ml_unwind_tables_refused(const struct ml_unwind_tables *tables)
{
	return tables->refused;
}

uint32_t ml_unwind_tables_version(struct ml_unwind_tables *tables)
{
	return ++tables->version;
}

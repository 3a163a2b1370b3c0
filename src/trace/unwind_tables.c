/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/unwind_tables.h"

#include "base/array.h"
#include "unwind/rows.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* A module's place in the tables. */
struct stored {
	const struct ml_module *module;
	uint64_t base; /* ELF address of pc 0 */
	uint32_t page_first, page_count, page_base;
};

struct ml_unwind_tables {
	uint64_t *rows; /* the kernel's memory, mapped */
	uint64_t *pages;
	size_t row_limit, page_limit;
	size_t row_count, page_count;
	uint64_t refused;
	bool is_borrowed; /* the memory is somebody else's */
	ML_ARRAY(struct stored) modules;
};

/* BPF arrays are mapped in whole pages. */
static size_t mapped_bytes(size_t entries)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (entries * sizeof(uint64_t) + page - 1) / page * page;
}

static struct ml_error *map_table(int fd, size_t entries, uint64_t **out)
{
	void *memory = mmap(NULL, mapped_bytes(entries), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (memory == MAP_FAILED)
		return ml_error_errno(errno, "cannot map the kernel's unwind table");
	*out = memory;
	return NULL;
}

struct ml_error *ml_unwind_tables_create(int rows_fd, size_t row_limit, int pages_fd,
					 size_t page_limit, struct ml_unwind_tables **out)
{
	struct ml_unwind_tables *tables = ml_alloc(sizeof(*tables));
	struct ml_error *error;

	tables->row_limit = row_limit;
	tables->page_limit = page_limit;
	tables->row_count = 1; /* row 0 stays empty: the one before the first */
	error = map_table(rows_fd, row_limit, &tables->rows);
	if (!error)
		error = map_table(pages_fd, page_limit, &tables->pages);
	if (error) {
		ml_unwind_tables_destroy(tables);
		return error;
	}
	*out = tables;
	return NULL;
}

struct ml_unwind_tables *ml_unwind_tables_create_in(uint64_t *rows, size_t row_limit,
						    uint64_t *pages, size_t page_limit)
{
	struct ml_unwind_tables *tables = ml_alloc(sizeof(*tables));

	tables->rows = rows;
	tables->row_limit = row_limit;
	tables->pages = pages;
	tables->page_limit = page_limit;
	tables->row_count = 1;
	tables->is_borrowed = true;
	return tables;
}

void ml_unwind_tables_destroy(struct ml_unwind_tables *tables)
{
	if (!tables)
		return;
	if (tables->rows && !tables->is_borrowed)
		munmap(tables->rows, mapped_bytes(tables->row_limit));
	if (tables->pages && !tables->is_borrowed)
		munmap(tables->pages, mapped_bytes(tables->page_limit));
	ml_array_free(&tables->modules);
	free(tables);
}

static uint64_t row_word(struct ml_unwind_row row)
{
	uint64_t word;

	memcpy(&word, &row, sizeof(word));
	return word;
}

/* Copies @rows behind an empty row: what is in effect before the first. */
static void store(struct ml_unwind_tables *tables, const struct ml_unwind_rows *rows,
		  struct stored *place)
{
	size_t first = tables->row_count + 1;

	tables->rows[tables->row_count] = 0;
	for (size_t i = 0; i < rows->count; i++)
		tables->rows[first + i] = row_word(rows->rows[i]);
	for (size_t i = 0; i < rows->page_count; i++)
		tables->pages[tables->page_count + i] =
			(first + rows->pages[i]) | (uint64_t)(first + rows->pages[i + 1]) << 32;
	place->page_first = (uint32_t)tables->page_count;
	place->page_count = rows->page_count;
	place->page_base = rows->page_base;
	tables->row_count = first + rows->count;
	tables->page_count += rows->page_count;
}

static struct stored *add(struct ml_unwind_tables *tables, struct ml_module *module)
{
	struct ml_unwind_rows rows = {0};
	ML_ERROR_CLEANUP struct ml_error *error = ml_unwind_rows_build(module, &rows);
	struct stored *place = ml_array_push(&tables->modules);

	*place = (struct stored){.module = module};
	if (error)
		return place;
	place->base = rows.base;
	if (tables->row_count + 1 + rows.count > tables->row_limit ||
	    tables->page_count + rows.page_count > tables->page_limit)
		tables->refused++;
	else if (rows.count)
		store(tables, &rows, place);
	ml_unwind_rows_deinit(&rows);
	return place;
}

void ml_unwind_tables_describe(struct ml_unwind_tables *tables, struct ml_module *module,
			       uint64_t load_bias, struct ml_process_map *map)
{
	struct stored *place = NULL;

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

uint64_t ml_unwind_tables_refused(const struct ml_unwind_tables *tables)
{
	return tables->refused;
}

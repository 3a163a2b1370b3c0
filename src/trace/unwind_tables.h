/* SPDX-License-Identifier: BSD-2-Clause */
/** The unwind rows of every traced module, in the kernel's two tables (rows and pages). */
#ifndef ML_TRACE_UNWIND_TABLES_H
#define ML_TRACE_UNWIND_TABLES_H

#include "base/error.h"
#include "elf/module.h"
#include "shared/trace_abi.h"

struct ml_unwind_tables;

/** @p rows_fd and @p pages_fd: mmapable array maps of 64-bit values with these numbers of entries.
 */
struct ml_unwind_tables *ml_unwind_tables_create(int rows_fd, size_t row_limit, int pages_fd,
						 size_t page_limit);
/** The same in memory of the caller, zeroed, that outlives the tables. */
struct ml_unwind_tables *ml_unwind_tables_create_in(uint64_t *rows, size_t row_limit,
						    uint64_t *pages, size_t page_limit);
void ml_unwind_tables_destroy(struct ml_unwind_tables *tables);

/**
 * Sets bias (for a module loaded at @p load_bias), page_first, page_count and page_base of @p map,
 * compiling and storing the rows of @p module the first time. Without rows page_count is 0.
 */
void ml_unwind_tables_describe(struct ml_unwind_tables *tables, struct ml_module *module,
			       uint64_t load_bias, struct ml_process_map *map);

/** How many words of each table are in use: they never change any more. */
void ml_unwind_tables_counts(const struct ml_unwind_tables *tables, size_t *rows, size_t *pages);

/** A number for the mappings of a process as they are now, which was given out for no others: rows
 * that are cached by it are good as long as it is theirs. */
uint32_t ml_unwind_tables_version(struct ml_unwind_tables *tables);

/** Modules that have no rows because the tables are full. */
uint64_t ml_unwind_tables_refused(const struct ml_unwind_tables *tables);

#endif

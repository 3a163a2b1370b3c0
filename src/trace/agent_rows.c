/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/agent_rows.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define BYTES ((size_t)(ML_AGENT_ROWS + ML_AGENT_ROW_PAGES) * sizeof(uint64_t))

struct ml_error *ml_agent_rows_init(struct ml_agent_rows *rows)
{
	void *memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		return ml_error_errno(errno, "cannot reserve memory for unwind tables");
	rows->rows = memory;
	rows->pages = rows->rows + ML_AGENT_ROWS;
	rows->tables = ml_unwind_tables_create_in(rows->rows, ML_AGENT_ROWS, rows->pages,
						  ML_AGENT_ROW_PAGES);
	return NULL;
}

void ml_agent_rows_deinit(struct ml_agent_rows *rows)
{
	ml_unwind_tables_destroy(rows->tables);
	if (rows->rows)
		munmap(rows->rows, BYTES);
	*rows = (struct ml_agent_rows){0};
}

void ml_agent_rows_copy(const struct ml_agent_rows *rows, struct ml_agent_memory *memory,
			struct ml_agent_rows_copy *copy)
{
	struct ml_agent_rows_copy now;

	ml_unwind_tables_counts(rows->tables, &now.rows, &now.pages);
	memcpy(memory->rows + copy->rows, rows->rows + copy->rows,
	       (now.rows - copy->rows) * sizeof(*rows->rows));
	memcpy(memory->row_pages + copy->pages, rows->pages + copy->pages,
	       (now.pages - copy->pages) * sizeof(*rows->pages));
	*copy = now;
}

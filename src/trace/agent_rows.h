/* SPDX-License-Identifier: BSD-2-Clause */
/** The unwind rows of all modules, compiled once and copied to each agent. */
#ifndef ML_TRACE_AGENT_ROWS_H
#define ML_TRACE_AGENT_ROWS_H

#include "shared/agent_abi.h"
#include "trace/unwind_tables.h"

struct ml_agent_rows {
	struct ml_unwind_tables *tables;
	uint64_t *rows, *pages; /**< address space only, until it is used */
};

/** How far an agent's copy is. */
struct ml_agent_rows_copy {
	size_t rows, pages;
};

struct ml_error *ml_agent_rows_init(struct ml_agent_rows *rows);
void ml_agent_rows_deinit(struct ml_agent_rows *rows);

/** Brings the tables in @p memory up to date. */
void ml_agent_rows_copy(const struct ml_agent_rows *rows, struct ml_agent_memory *memory,
			struct ml_agent_rows_copy *copy);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/** The books an agent keeps, read out of the memory shared with it. */
#ifndef ML_TRACE_AGENT_BOOKS_H
#define ML_TRACE_AGENT_BOOKS_H

#include "model/snapshot.h"
#include "shared/agent_abi.h"
#include "trace/map_books.h"

/** Fills @p out with what @p memory says now. The agent may be at work. */
void ml_agent_books_snapshot(const struct ml_agent_memory *memory,
			     const struct ml_snapshot_filter *filter, struct ml_snapshot *out);

/** The stack @p id as recorded; false when it was lost. */
bool ml_agent_books_stack(const struct ml_agent_memory *memory, uint64_t id,
			  struct ml_stack_record *out);

/** Calls so far. */
uint64_t ml_agent_books_events(const struct ml_agent_memory *memory);

/** Takes the next event of direct mappings out of the ring; false when there is none. */
bool ml_agent_books_next_map(struct ml_agent_memory *memory, struct ml_map_event *out);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/** The books an agent keeps, read out of the memory shared with it. */
#ifndef ML_TRACE_AGENT_BOOKS_H
#define ML_TRACE_AGENT_BOOKS_H

#include "model/snapshot.h"
#include "shared/agent_abi.h"
#include "trace/map_books.h"

/** The books of one process. */
struct ml_agent_books {
	struct ml_agent_memory *memory; /**< borrowed; NULL once they are frozen */
	int fd;                         /**< its file: tells which parts were ever written */
	uint32_t index;                 /**< of the process: the upper half of its stacks' ids */
	pid_t pid;                      /**< as the tool numbers it */
	uint32_t lines;                 /**< as many lines of blocks as it may have */
	uint64_t map_tail;              /**< events of direct mappings that were read */
	struct ml_snapshot frozen;      /**< all sites and blocks of a process that has ended */
	uint64_t frozen_events;         /**< its calls */
	uint64_t frozen_mean;           /**< the mean distance of its samples in bytes, or 0 */
};

/**
 * Adds what the books say now to @p out. The agent may be at work. @p others (ML_AGENT_FILTER
 * bytes, or NULL) gets 1 where the agent's filter has blocks that were not sampled.
 */
void ml_agent_books_snapshot(const struct ml_agent_books *books,
			     const struct ml_snapshot_filter *filter, uint8_t *others,
			     struct ml_snapshot *out);

/** Copies everything: the memory is not needed any more. */
void ml_agent_books_freeze(struct ml_agent_books *books);

/** Forgets everything. */
void ml_agent_books_forget(struct ml_agent_books *books);

/** The index in a stack's id. */
static inline uint32_t ml_agent_books_index(uint64_t stack)
{
	return (uint32_t)(stack >> 32);
}

/** The stack @p id as recorded; false when it was lost. @p python (may be NULL) gets its Python
 * functions. */
bool ml_agent_books_stack(const struct ml_agent_books *books, uint64_t id,
			  struct ml_stack_record *out, struct ml_python_record *python);

/** Calls @p visit with the id of every stack. */
void ml_agent_books_each_stack(const struct ml_agent_books *books,
			       void (*visit)(void *context, uint64_t id), void *context);

/** The id of the stack behind the first *@p seen, which grows; false when it is not made yet. */
bool ml_agent_books_next_stack(const struct ml_agent_books *books, uint32_t *seen, uint64_t *id);

/** Calls so far. */
uint64_t ml_agent_books_events(const struct ml_agent_books *books);

/** Takes the next event of direct mappings out of the ring; false when there is none. */
bool ml_agent_books_next_map(struct ml_agent_books *books, struct ml_map_event *out);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Blocks that another tracer had booked when the agent took a process over. The agent marks those
 * that are freed (agent/prior.h); what they are is kept here.
 */
#ifndef ML_TRACE_AGENT_PRIOR_H
#define ML_TRACE_AGENT_PRIOR_H

#include "base/array.h"
#include "base/u64map.h"
#include "model/snapshot.h"
#include "shared/agent_abi.h"

#include <stdbool.h>

/** A block, as the other tracer had it. */
struct ml_prior_block {
	struct ml_block block; /**< its stack has the other tracer's id */
	uint64_t weight_bytes;
	uint64_t weight_count;
	uint32_t place; /**< in the agent's table */
	bool is_freed;
};

typedef ML_ARRAY(struct ml_prior_block) ml_prior_blocks;

/** All-zero: there are none. */
struct ml_agent_prior {
	ml_prior_blocks blocks;      /**< by stack */
	struct ml_u64map by_address; /**< while frees are logged: address → index in blocks */
	uint64_t log_read;           /**< entries of the log looked at */
	uint64_t known_late;         /**< frees that the agent counts as unknown, of blocks here */
	unsigned int log_ticks;      /**< how often it will still be looked at */
};

/** From now on the agent in @p memory notes what is freed that it does not know; before it begins.
 */
void ml_agent_prior_expect(struct ml_agent_memory *memory);

/**
 * Takes @p blocks over (emptied), which were alive when the agent began. How many there is no room
 * for is given back: they are not in the books any more.
 */
size_t ml_agent_prior_fill(struct ml_agent_prior *prior, struct ml_agent_memory *memory,
			   ml_prior_blocks *blocks);

/** To be called every now and then until it has nothing to do. False when the agent had to note
 * more than there was room for: blocks that were freed look alive. */
bool ml_agent_prior_tick(struct ml_agent_prior *prior, struct ml_agent_memory *memory);

/** Forgets what was freed. Without @p memory (NULL) nothing is. */
void ml_agent_prior_settle(struct ml_agent_prior *prior, struct ml_agent_memory *memory);

/**
 * Adds the blocks to @p out. The other tracer counts them as freed: what is not is taken off, and a
 * site of its own here has fewer than no frees until it is added to the other's.
 */
void ml_agent_prior_snapshot(const struct ml_agent_prior *prior,
			     const struct ml_snapshot_filter *filter, struct ml_snapshot *out);

/** Sets 1 in @p others (ML_AGENT_FILTER bytes) where the agent's filter has any of the blocks. */
void ml_agent_prior_mark(const struct ml_agent_prior *prior, uint8_t *others);

void ml_agent_prior_deinit(struct ml_agent_prior *prior);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Sampling by bytes that begins while there are blocks already: each of those was kept for itself.
 *
 * The agent lets a free pass whose address its filter does not know, so from that moment on the
 * filter knows every address; and what has no such block any more is taken out by and by.
 */
#ifndef ML_TRACE_AGENT_SAMPLING_H
#define ML_TRACE_AGENT_SAMPLING_H

#include "base/array.h"
#include "shared/agent_abi.h"
#include "shared/sample_weight.h"

#include <stdbool.h>

/** A call in progress. */
struct ml_agent_call_of {
	uint32_t thread;
	uint64_t call;
};

/** All-zero: not begun, or nothing to do. */
struct ml_agent_sampling {
	bool has_others;    /**< blocks that were not sampled may be alive */
	bool was_cleared;   /**< the filter, of what was not there when it had settled */
	unsigned int ticks; /**< since it began */
	/** Calls in progress that may have begun before: their blocks are not sampled. */
	ML_ARRAY(struct ml_agent_call_of) waited_for;
};

/** Lets every free be looked up, before the agent samples. */
void ml_agent_sampling_expect_others(struct ml_agent_sampling *sampling,
				     struct ml_agent_memory *memory);

/** The agent in @p memory samples from now on, about one of @p mean bytes. */
void ml_agent_sampling_begin(struct ml_agent_sampling *sampling, struct ml_agent_memory *memory,
			     uint64_t mean);

/** To be called a few times a second. */
void ml_agent_sampling_tick(struct ml_agent_sampling *sampling,
			    const struct ml_agent_memory *memory);

/** Whether the filter can be cleared: then all blocks that were not sampled must be found. */
bool ml_agent_sampling_is_settled(const struct ml_agent_sampling *sampling,
				  const struct ml_agent_memory *memory);

/** Clears the filter of what is not in @p others: ML_AGENT_FILTER bytes, not 0 where there is a
 * block that was not sampled. */
void ml_agent_sampling_clear(struct ml_agent_sampling *sampling, struct ml_agent_memory *memory,
			     const uint8_t *others);

void ml_agent_sampling_deinit(struct ml_agent_sampling *sampling);

#endif

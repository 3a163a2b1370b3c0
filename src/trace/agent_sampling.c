/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/agent_sampling.h"

/* After so many ticks no call is on its way any more between finding the old mode and noting
 * itself. */
#define SETTLING_TICKS 3

void ml_agent_sampling_expect_others(struct ml_agent_sampling *sampling,
				     struct ml_agent_memory *memory)
{
	for (size_t i = 0; i < ML_AGENT_FILTER; i++)
		__atomic_fetch_or(&memory->filter[i], ML_AGENT_FILTER_OTHERS, __ATOMIC_RELAXED);
	sampling->has_others = true;
	sampling->was_cleared = false;
	sampling->ticks = 0;
	sampling->waited_for.count = 0;
}

void ml_agent_sampling_begin(struct ml_agent_sampling *sampling, struct ml_agent_memory *memory,
			     uint64_t mean)
{
	__atomic_store_n(&memory->is_exact, 0, __ATOMIC_SEQ_CST);
	ml_agent_sampling_expect_others(sampling, memory);
	/* A call that finds the mean finds the filter full, too. */
	__atomic_store_n(&memory->config.sample_bytes, mean, __ATOMIC_SEQ_CST);
	__atomic_store_n(&memory->always_bytes, ML_ALWAYS_SAMPLED * mean, __ATOMIC_SEQ_CST);
}

static void note_calls(struct ml_agent_sampling *sampling, const struct ml_agent_memory *memory)
{
	for (uint32_t i = 0; i < ML_AGENT_THREADS; i++) {
		uint64_t call = __atomic_load_n(&memory->threads[i].call, __ATOMIC_RELAXED);

		if (call)
			*ml_array_push(&sampling->waited_for) = (struct ml_agent_call_of){i, call};
	}
}

static void forget_ended(struct ml_agent_sampling *sampling, const struct ml_agent_memory *memory)
{
	size_t kept = 0;

	ml_array_each (it, &sampling->waited_for)
		if (__atomic_load_n(&memory->threads[it->thread].call, __ATOMIC_RELAXED) ==
		    it->call)
			sampling->waited_for.items[kept++] = *it;
	sampling->waited_for.count = kept;
}

void ml_agent_sampling_tick(struct ml_agent_sampling *sampling,
			    const struct ml_agent_memory *memory)
{
	if (!sampling->has_others)
		return;
	if (++sampling->ticks == SETTLING_TICKS)
		note_calls(sampling, memory);
	else if (sampling->ticks > SETTLING_TICKS)
		forget_ended(sampling, memory);
}

bool ml_agent_sampling_is_settled(const struct ml_agent_sampling *sampling,
				  const struct ml_agent_memory *memory)
{
	return memory && memory->always_bytes && sampling->has_others &&
	       sampling->ticks > SETTLING_TICKS && !sampling->waited_for.count;
}

void ml_agent_sampling_clear(struct ml_agent_sampling *sampling, struct ml_agent_memory *memory,
			     const uint8_t *others)
{
	size_t left = 0;

	for (size_t i = 0; i < ML_AGENT_FILTER; i++) {
		left += others[i] != 0;
		if (!others[i])
			__atomic_fetch_and(&memory->filter[i], ML_AGENT_FILTER_OTHERS - 1,
					   __ATOMIC_RELAXED);
	}
	sampling->has_others = left;
	sampling->was_cleared = true;
}

void ml_agent_sampling_deinit(struct ml_agent_sampling *sampling)
{
	ml_array_free(&sampling->waited_for);
}

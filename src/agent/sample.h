/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Which calls the agent keeps, part of agent.c.
 *
 * By bytes: a thread's budget is the distance to its next sampling point. Calls that use none up
 * never come here but leave entry.S at once, as do frees of addresses that the filter does not
 * know.
 */
#include "shared/sample_weight.h"

static uint64_t next_random(struct ml_agent_thread *thread)
{
	uint64_t x = thread->random | !thread->random;

	/* Marsaglia's xorshift64. */
	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	thread->random = x;
	return x * GOLDEN;
}

/* -ln(u) * 2^24 for a random u in (0, 1]: an exponential distance of mean 1. The logarithm's
 * fraction is by repeated squaring, a bit each. */
static uint64_t exponential_q24(struct ml_agent_thread *thread)
{
	uint64_t u = next_random(thread) >> 1 | 1, log2;
	uint32_t top = 63u - (uint32_t)__builtin_clzl(u);

	log2 = (uint64_t)top << 24;
	u <<= 63 - top; /* 1.63 fixed point, in [1, 2) */
	for (uint32_t bit = 1u << 23; bit; bit >>= 1) {
		u = (uint64_t)(((unsigned __int128)u * u) >> 64); /* 2.62 */
		if (u >> 63)
			log2 |= bit;
		else
			u <<= 1;
	}
	return (((63ull << 24) - log2) * 11629080) >> 24; /* ln 2 * 2^24 */
}

static int64_t next_distance(const struct ml_agent_memory *memory, struct ml_agent_thread *thread)
{
	return (int64_t)(((unsigned __int128)memory->config.sample_bytes *
			  exponential_q24(thread)) >>
			 24) +
	       1;
}

/* True when a sampling point falls into the next @size bytes. The distance from the last of them
 * to the point after it does not depend on where it lies, so one draw is enough. */
static bool is_point_within(const struct ml_agent_memory *memory, struct ml_agent_thread *thread,
			    uint64_t size)
{
	/* A thread's first distance is random as well. */
	if (UNLIKELY(!thread->byte_budget))
		thread->byte_budget = next_distance(memory, thread);
	if ((int64_t)size < thread->byte_budget) {
		thread->byte_budget -= (int64_t)size;
		return false;
	}
	thread->byte_budget = next_distance(memory, thread);
	return true;
}

/* Why a call is kept. What changes while it is in progress does not change that. */
enum { KEPT_NOT, KEPT_EXACTLY, KEPT_AS_SAMPLE };

static inline uint32_t sample(const struct ml_agent_memory *memory, struct ml_agent_thread *thread,
			      uint64_t size)
{
	uint64_t mean = LOAD(memory->config.sample_bytes);

	if (UNLIKELY(mean))
		return size >= ML_ALWAYS_SAMPLED * mean ||
				       is_point_within(memory, thread, size + !size)
			       ? KEPT_AS_SAMPLE
			       : KEPT_NOT;
	if (LIKELY(memory->config.sample_every <= 1))
		return KEPT_EXACTLY;
	if (++thread->nth < memory->config.sample_every)
		return KEPT_NOT;
	thread->nth = 0;
	return KEPT_EXACTLY;
}

/* ---- the filter of frees ----------------------------------------------------------------------
 */

static uint8_t *filter_of(struct ml_agent_memory *memory, uint64_t address)
{
	return &memory->filter[ml_agent_filter_index(address)];
}

#define FILTER_COUNT (ML_AGENT_FILTER_OTHERS - 1)

/* A count that reached its end stays there. */
static void add_to_filter(struct ml_agent_memory *memory, uint64_t address)
{
	uint8_t *count = filter_of(memory, address), old = LOAD(*count);

	while ((old & FILTER_COUNT) != FILTER_COUNT &&
	       !__atomic_compare_exchange_n(count, &old, old + 1, false, __ATOMIC_RELAXED,
					    __ATOMIC_RELAXED))
		;
}

static void take_from_filter(struct ml_agent_memory *memory, uint64_t address)
{
	uint8_t *count = filter_of(memory, address), old = LOAD(*count);

	while ((old & FILTER_COUNT) && (old & FILTER_COUNT) != FILTER_COUNT &&
	       !__atomic_compare_exchange_n(count, &old, old - 1, false, __ATOMIC_RELAXED,
					    __ATOMIC_RELAXED))
		;
}

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

/* The bytes of calls that the short way lets pass must not come to what is always kept: behind a
 * step the distance to the next point is as it was before, that of any beginning. */
static void take_budget(struct ml_agent_memory *memory, struct ml_agent_thread *thread,
			uint64_t mean)
{
	uint64_t step = ML_ALWAYS_SAMPLED * mean;
	uint64_t distance =
		(uint64_t)(((unsigned __int128)mean * exponential_q24(thread)) >> 24) + 1;

	thread->is_step = distance > step;
	thread->byte_budget = thread->is_step ? step : distance;
	if ((uint32_t)thread->events - thread->beat < HEARTBEAT_CALLS)
		return;
	thread->beat = (uint32_t)thread->events;
	check_heartbeat(memory);
}

/* True when a sampling point falls into the next @size bytes. The distance from the last of them
 * to the point after it does not depend on where it lies, so one draw is enough. */
static bool is_point_within(struct ml_agent_memory *memory, struct ml_agent_thread *thread,
			    uint64_t mean, uint64_t size)
{
	bool is_within = false;

	/* A thread's first distance is random as well. */
	if (UNLIKELY(!thread->byte_budget))
		take_budget(memory, thread, mean);
	while (!is_within && size >= thread->byte_budget) {
		size -= thread->byte_budget;
		is_within = !thread->is_step;
		take_budget(memory, thread, mean);
	}
	if (!is_within)
		thread->byte_budget -= size;
	return is_within;
}

/* Why a call is kept. What changes while it is in progress does not change that. */
enum { KEPT_NOT, KEPT_EXACTLY, KEPT_AS_SAMPLE };

static inline uint32_t sample(struct ml_agent_memory *memory, struct ml_agent_thread *thread,
			      uint64_t size)
{
	uint64_t mean = LOAD(memory->config.sample_bytes);

	if (UNLIKELY(mean))
		return size >= ML_ALWAYS_SAMPLED * mean ||
				       is_point_within(memory, thread, mean, size + !size)
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

/* After the filter, so that it is not cleared meanwhile. */
static void set_sieve(uint64_t address)
{
	uint64_t *word = &ml_agent_data.sieve[ml_agent_sieve_word(address)], old = LOAD(*word);
	uint64_t bit = 1ull << ml_agent_sieve_bit(address);

	while (!__atomic_compare_exchange_n(word, &old, (old | bit) + ML_AGENT_SIEVE_CHANGE, false,
					    __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

/* Of an address that the filter turns out not to know: unless others there are known. */
static void clear_sieve(const struct ml_agent_memory *memory, uint64_t address)
{
	uint64_t *word = &ml_agent_data.sieve[ml_agent_sieve_word(address)];
	uint64_t old = __atomic_load_n(word, __ATOMIC_ACQUIRE);

	if (!LOAD(memory->filter_words[ml_agent_filter_index(address) / ML_AGENT_SIEVE_COUNTS]))
		__atomic_compare_exchange_n(word, &old,
					    old & ~(1ull << ml_agent_sieve_bit(address)), false,
					    __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

/* A count that reached its end stays there. */
static void add_to_filter(struct ml_agent_memory *memory, uint64_t address)
{
	uint8_t *count = filter_of(memory, address), old = LOAD(*count);

	while ((old & FILTER_COUNT) != FILTER_COUNT &&
	       !__atomic_compare_exchange_n(count, &old, old + 1, false, __ATOMIC_RELAXED,
					    __ATOMIC_RELAXED))
		;
	set_sieve(address);
}

static void take_from_filter(struct ml_agent_memory *memory, uint64_t address)
{
	uint8_t *count = filter_of(memory, address), old = LOAD(*count);

	while ((old & FILTER_COUNT) && (old & FILTER_COUNT) != FILTER_COUNT &&
	       !__atomic_compare_exchange_n(count, &old, old - 1, false, __ATOMIC_RELAXED,
					    __ATOMIC_RELAXED))
		;
}

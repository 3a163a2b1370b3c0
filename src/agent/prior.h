/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Blocks that another tracer had booked when the agent came; part of agent.c. The agent knows no
 * more of them than where they are, and marks those that are freed: what they were the tool knows.
 */

/* One that is not in the table may be on its way into it. */
static void log_freed(struct ml_agent_memory *memory, uint64_t address)
{
	uint64_t number = __atomic_fetch_add(&memory->freed_count, 1, __ATOMIC_RELAXED);

	if (number < ML_AGENT_FREED)
		__atomic_store_n(&memory->freed[number], address, __ATOMIC_RELEASE);
}

RARE static bool free_prior(struct ml_agent_memory *memory, uint64_t address)
{
	uint64_t alive = ML_AGENT_PRIOR_ALIVE(address);
	uint32_t first = ml_agent_prior_first(address);

	for (uint32_t i = 0; i < ML_AGENT_PRIOR_PROBES; i++) {
		uint64_t *place = &memory->prior[(first + i) & (ML_AGENT_PRIOR - 1)];
		uint64_t found = LOAD(*place);

		if (!found || found == ML_AGENT_PRIOR_DEAD(address))
			break;
		if (found == alive)
			return __atomic_compare_exchange_n(place, &alive,
							   ML_AGENT_PRIOR_DEAD(address), false,
							   __ATOMIC_RELAXED, __ATOMIC_RELAXED);
	}
	if (LOAD(memory->logs_freed))
		log_freed(memory, address);
	return false;
}

static inline bool keeps_all(const struct ml_agent_memory *memory)
{
	return memory->is_exact && !memory->config.min_size &&
	       memory->config.max_size == UINT64_MAX;
}

/* A block was freed that is not in the books. @thread may be NULL. */
static void free_unknown(struct ml_agent_memory *memory, struct ml_agent_thread *thread,
			 uint64_t address)
{
	if (UNLIKELY(LOAD(memory->has_prior)) && free_prior(memory, address))
		return;
	/* A free that leads on to another one (operator delete of jemalloc) comes here twice. Where
	 * not every block is kept, one that was not may have been there since. */
	if (thread && keeps_all(memory) && is_known_gone(memory, thread, address)) {
		__atomic_store_n(recent_of(thread, address), 0, __ATOMIC_RELAXED);
		return;
	}
	if (thread)
		add_local(&thread->untracked_frees, 1);
	else
		count(memory, ML_SLOT_UNTRACKED_FREES);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Waiting until the tool has told about code that was mapped a moment ago, part of agent.c.
 *
 * A library allocates as soon as it is loaded. Its rows come when the tool has heard of the
 * mapping and read the file; a walk without them would have to guess.
 */

/* As long as the loader waits for the tool in src/bpf/loader.bpf.h: a tool that is stopped or busy
 * is not waited for. */
#define CODE_WAITS 250u

/* Waits for the tool to tell of more code than in @epoch; false when it does not. */
RARE static bool wait_for_code(struct ml_agent_memory *memory, uint32_t epoch)
{
	const struct {
		long seconds, ns;
	} slice = {0, 1000000};

	if (LOAD(memory->epoch_waited) == epoch || !LOAD(memory->is_listening) ||
	    !may_call(memory, ML_AGENT_CALL_NANOSLEEP))
		return false;
	for (uint32_t i = 0; i < CODE_WAITS && LOAD(memory->is_listening); i++) {
		if (LOAD(memory->epoch) != epoch)
			return true;
		system_call(SYS_NANOSLEEP, (long)&slice, 0, 0, 0, 0, 0);
	}
	/* Not again for what it does not know either. */
	__atomic_store_n(&memory->epoch_waited, epoch, __ATOMIC_RELAXED);
	return false;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Waiting until the tool has told about code that was mapped a moment ago, part of agent.c.
 *
 * A library allocates as soon as it is loaded. Its rows come, and its own allocators are patched,
 * when the tool has heard of the mapping and read the file.
 */

#define FIRST_NAP_NS 50000u
#define LONG_NAP_NS  1000000u

#define FUTEX_WAKE   1

struct wait {
	uint64_t nap_ns, waited_ns;
};

/* Sleeps, ever longer; false when it is enough. */
static bool nap(const struct ml_agent_memory *memory, struct wait *wait)
{
	const struct {
		long seconds, ns;
	} slice = {0, (long)wait->nap_ns};

	if (wait->waited_ns >= ML_LOAD_WAIT_NS || !LOAD(memory->is_listening) ||
	    !may_call(memory, ML_AGENT_CALL_NANOSLEEP))
		return false;
	system_call(SYS_NANOSLEEP, (long)&slice, 0, 0, 0, 0, 0);
	wait->waited_ns += wait->nap_ns;
	if (wait->nap_ns < LONG_NAP_NS)
		wait->nap_ns *= 2;
	return true;
}

/* Waits for the tool to tell of more code than in @epoch; false when it does not. */
RARE static bool wait_for_code(struct ml_agent_memory *memory, uint32_t epoch)
{
	struct wait wait = {.nap_ns = FIRST_NAP_NS};

	if (LOAD(memory->epoch_waited) == epoch || !LOAD(memory->is_listening) ||
	    !may_call(memory, ML_AGENT_CALL_NANOSLEEP))
		return false;
	do
		if (LOAD(memory->epoch) != epoch)
			return true;
	while (nap(memory, &wait));
	/* Not again for what it does not know either. */
	__atomic_store_n(&memory->epoch_waited, epoch, __ATOMIC_RELAXED);
	return false;
}

static bool has_reached(uint32_t number, uint32_t wanted)
{
	return (int32_t)(number - wanted) >= 0;
}

/* The loader has loaded something, none of whose code has run yet: waits until the tool has looked.
 * One that did not look in time is waited for again once it has. */
RARE static void wait_for_look(struct ml_agent_memory *memory)
{
	uint32_t load = __atomic_add_fetch(&memory->loads, 1, __ATOMIC_RELEASE);
	struct wait wait = {.nap_ns = FIRST_NAP_NS};

	if (!LOAD(memory->is_listening))
		return;
	if (may_call(memory, ML_AGENT_CALL_FUTEX_WAKE))
		system_call(SYS_FUTEX, (long)&memory->loads, FUTEX_WAKE, 1, 0, 0, 0);
	if (has_reached(LOAD(memory->loads_heard), LOAD(memory->loads_given_up)))
		while (!has_reached(LOAD(memory->loads_heard), load))
			if (!nap(memory, &wait))
				break;
	if (!has_reached(LOAD(memory->loads_heard), load))
		__atomic_store_n(&memory->loads_given_up, load, __ATOMIC_RELAXED);
}

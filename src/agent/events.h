/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * The calls of --trace, told one by one; part of agent.c. No books are kept then.
 *
 * The time is the kernel's own CLOCK_MONOTONIC, the clock of the programs in the kernel: the time
 * stamp counter would save a hundred nanoseconds, where the tool needs a microsecond to print the
 * line, but its rate must be measured, it may be unsteady, and a process can have it forbidden
 * (PR_SET_TSC).
 */

/* @thread is NULL when the agent has no place for it. */
static uint32_t tid_of(struct ml_agent_memory *memory, struct ml_agent_thread *thread)
{
	if (!thread || !thread->tid_offset)
		return gettid(memory);
	tid_number(memory, thread);
	return thread->tid;
}

/* The place of the next event; NULL when the tool is so far behind that there is none. */
static struct ml_agent_call_event *event_new(struct ml_agent_memory *memory, uint64_t *number)
{
	uint64_t head = LOAD(memory->call_event_head);

	do {
		if (head - LOAD(memory->call_event_tail) >= ML_AGENT_CALL_EVENTS) {
			count(memory, ML_COUNTER_CALL_EVENTS_LOST);
			return NULL;
		}
	} while (!__atomic_compare_exchange_n(&memory->call_event_head, &head, head + 1, false,
					      __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
	*number = head;
	return &memory->call_events[head & (ML_AGENT_CALL_EVENTS - 1)];
}

static void tell_call(struct ml_agent_memory *memory, struct ml_agent_thread *thread,
		      const struct ml_agent_descriptor *descriptor, uint64_t size, uint64_t address,
		      uint64_t old_address)
{
	uint64_t number, now_ns;
	struct ml_agent_call_event *event = event_new(memory, &number);

	if (!event)
		return;
	now_ns = monotonic_ns(memory);
	event->time_ns = now_ns ? now_ns : LOAD(memory->now_ns);
	event->size = size;
	event->address = address;
	event->old_address = old_address;
	event->tid = tid_of(memory, thread);
	event->role = (uint16_t)descriptor->role;
	event->function = descriptor->function;
	__atomic_store_n(&event->sequence, number + 1, __ATOMIC_RELEASE);
}

/* At the end of a call that is no free. */
RARE static void tell_result(struct ml_agent_memory *memory, const struct call *call)
{
	uint64_t address = result_of(call);
	bool has_old = role_resizes(call->role) || call->role == ML_ROLE_MREMAP;

	if (address && (call->role == ML_ROLE_MUNMAP || is_size_wanted(memory, call->size)))
		tell_call(memory, call->thread, call->descriptor, call->size, address,
			  has_old ? call->pointer : 0);
}

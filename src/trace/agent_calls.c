/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/agent_calls.h"

#include "base/clock.h"

/* Events of one reading: the tool has more to do than to follow a target that is faster. */
#define READ_EVENTS 16384u

/* An event's thread may have left it unwritten, by a signal handler that does not return. */
#define STUCK_NS ML_NS_PER_SECOND

static void count_lost(struct ml_agent_memory *memory, uint64_t lost)
{
	__atomic_fetch_add(&memory->counters[ML_COUNTER_CALL_EVENTS_LOST], lost, __ATOMIC_RELAXED);
}

/* How many events wait; a number that cannot be is the target's own doing. */
static uint64_t waiting(struct ml_agent_calls *calls, const struct ml_agent_memory *memory)
{
	uint64_t head = __atomic_load_n(&memory->call_event_head, __ATOMIC_ACQUIRE);

	if (head - calls->next > ML_AGENT_CALL_EVENTS)
		calls->next = head;
	return head - calls->next;
}

static void advance(struct ml_agent_calls *calls, struct ml_agent_memory *memory)
{
	calls->stuck_ns = 0;
	__atomic_store_n(&memory->call_event_tail, ++calls->next, __ATOMIC_RELEASE);
}

/* Takes the next event; false when it is not written yet. */
static bool take_next(struct ml_agent_calls *calls, struct ml_agent_memory *memory,
		      struct ml_agent_call_event *out)
{
	const struct ml_agent_call_event *event =
		&memory->call_events[calls->next & (ML_AGENT_CALL_EVENTS - 1)];

	if (__atomic_load_n(&event->sequence, __ATOMIC_ACQUIRE) != calls->next + 1)
		return false;
	*out = *event;
	advance(calls, memory);
	return true;
}

static void pass_over(struct ml_agent_calls *calls, struct ml_agent_memory *memory)
{
	count_lost(memory, 1);
	advance(calls, memory);
}

static bool is_stuck(struct ml_agent_calls *calls)
{
	uint64_t now_ns = ml_monotonic_ns();

	if (!calls->stuck_ns)
		calls->stuck_ns = now_ns;
	return now_ns - calls->stuck_ns > STUCK_NS;
}

static void give(struct ml_agent_calls *calls, const struct ml_agent_call_event *event,
		 const struct ml_agent_call_sink *sink, uint64_t began_ns)
{
	const struct ml_agent_tid *tid =
		ml_agent_tids_get(&calls->tids, sink->process, event->tid, began_ns);
	const struct ml_traced_call call = {
		.time_ns = event->time_ns,
		.pid = sink->pid,
		.tid = tid->tid,
		.comm = tid->comm,
		.function = event->function < sink->functions->list.count
				    ? sink->functions->list.items[event->function]
				    : "?",
		.role = event->role < ML_ROLE_COUNT ? (enum ml_role)event->role : ML_ROLE_NONE,
		.size = event->size,
		.address = event->address,
		.old_address = event->old_address,
	};

	sink->take(sink->context, &call);
}

void ml_agent_calls_read(struct ml_agent_calls *calls, struct ml_agent_memory *memory,
			 const struct ml_agent_call_sink *sink)
{
	struct ml_agent_call_event event;
	uint64_t began_ns = ml_monotonic_ns();

	ml_array_each (kept, &calls->kept)
		give(calls, kept, sink, began_ns);
	ml_array_free(&calls->kept);
	for (uint32_t i = 0; memory && i < READ_EVENTS && waiting(calls, memory); i++) {
		if (take_next(calls, memory, &event))
			give(calls, &event, sink, began_ns);
		else if (is_stuck(calls))
			pass_over(calls, memory);
		else
			return;
	}
}

void ml_agent_calls_keep(struct ml_agent_calls *calls, struct ml_agent_memory *memory,
			 const struct ml_process *process)
{
	struct ml_agent_call_event event;
	uint64_t count = waiting(calls, memory), began_ns = ml_monotonic_ns();

	for (; count; count--) {
		if (!take_next(calls, memory, &event)) {
			pass_over(calls, memory);
			continue;
		}
		ml_agent_tids_get(&calls->tids, process, event.tid, began_ns);
		*ml_array_push(&calls->kept) = event;
	}
	calls->next = 0;
}

void ml_agent_calls_deinit(struct ml_agent_calls *calls)
{
	ml_array_free(&calls->kept);
	ml_agent_tids_deinit(&calls->tids);
}

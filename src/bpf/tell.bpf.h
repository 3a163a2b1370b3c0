/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/** What the tool is told of single calls: each one with --trace, and those that map memory, whose
 * books it keeps itself. Part of user.bpf.c. */

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} map_events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 22);
} call_events SEC(".maps");

static __always_inline void tell_call(const struct ml_trace_config *cfg, uint64_t cookie,
				      uint64_t size, uint64_t address, uint64_t old_address)
{
	if (!cfg->trace_calls)
		return;

	struct ml_call_event *event = bpf_ringbuf_reserve(&call_events, sizeof(*event), 0);

	if (!event) {
		count(ML_COUNTER_CALL_EVENTS_LOST);
		return;
	}
	event->time_ns = bpf_ktime_get_ns();
	event->size = size;
	event->address = address;
	event->old_address = old_address;
	event->tgid = ML_COOKIE_PROCESS(cookie);
	event->tid = (uint32_t)bpf_get_current_pid_tgid();
	event->role = ML_COOKIE_ROLE(cookie);
	event->function = ML_COOKIE_FUNCTION(cookie);
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	bpf_ringbuf_submit(event, 0);
}

static __always_inline void tell_map(struct thread_state *thread, uint64_t cookie, uint64_t address,
				     uint64_t length, uint64_t stack)
{
	struct ml_map_event *event = bpf_ringbuf_reserve(&map_events, sizeof(*event), 0);

	if (!event) {
		count(ML_COUNTER_MAP_EVENTS_LOST);
		return;
	}
	event->time_ns = thread->role == ML_ROLE_MMAP ? bpf_ktime_get_ns() : thread->entry_ns;
	event->address = address;
	event->length = length;
	event->old_address = thread->role == ML_ROLE_MREMAP ? thread->pointer : 0;
	event->old_length = thread->role == ML_ROLE_MREMAP ? thread->old_length : 0;
	event->stack = stack;
	event->tgid = ML_COOKIE_PROCESS(cookie);
	event->tid = (uint32_t)bpf_get_current_pid_tgid();
	event->role = thread->role;
	event->is_library = 0;
	bpf_ringbuf_submit(event, 0);
}

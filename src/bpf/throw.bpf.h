/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/**
 * Lets exceptions pass functions whose returns are probed.
 *
 * The kernel sees a return by putting another address in the place of the return address. An
 * unwinder knows no such code, and so std::terminate() would end a program whose operator new
 * throws. Before it looks at the stack the true addresses are put back: by the tool, for whom the
 * thread waits here, since a program must not write into a process where the kernel is locked down
 * (security_locked_down(LOCKDOWN_BPF_WRITE_USER)). Such a call's return is then not seen, which is
 * told as after a longjmp(); what the kernel has noted of it goes as after one, too
 * (cleanup_return_instances() in kernel/events/uprobes.c). Part of user.bpf.c.
 */

/* A tool that was stopped or killed meanwhile is not waited for any longer. */
#define THROW_WAIT_NS 2000000000ull

/* More than can be made in that time. */
#define THROW_WAIT_ROUNDS (1u << 23)

/* For some 900 threads that throw at once. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 18);
} throw_events SEC(".maps");

/* Thread → the time of its newest event that the tool has dealt with. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, uint32_t);
	__type(value, uint64_t);
} throws_mended SEC(".maps");

/* Notes what is to be put back for the thread; false when there is nothing. Of calls that a
 * longjmp() left behind nothing is. A function of its own, since each must use less than 64 bytes
 * of stack (see on_load()). */
static __noinline bool note_calls(struct return_instance *call, struct ml_throw_event *event)
{
	uint64_t trampoline = return_trampoline(), word;
	bool found = false;

	for (int i = 0; i < ML_THROW_WORDS; i++) {
		event->word[i].place = 0;
		if (!call)
			continue;

		uint64_t place = BPF_CORE_READ(call, stack);

		if (!bpf_probe_read_user(&word, sizeof(word), (void *)place) &&
		    word == trampoline) {
			event->word[i].place = place;
			event->word[i].address = BPF_CORE_READ(call, orig_ret_vaddr);
			found = true;
		}
		call = BPF_CORE_READ(call, next);
	}
	return found;
}

static long throw_round(uint32_t index, void *context)
{
	struct tool_wait *wait = context;
	uint64_t *mended = bpf_map_lookup_elem(&throws_mended, &wait->whose);

	if (mended && *mended >= wait->asked_ns)
		return 1;
	return wait_on(wait, THROW_WAIT_NS);
}

/* At an unwinder's entry. It keeps the kernel's stack as on_load() does. */
SEC("uprobe.s")
int on_throw(struct pt_regs *ctx)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct return_instance *call = BPF_CORE_READ(task, utask, return_instances);
	struct tool_wait wait = {.ip = ctx->ip};
	struct ml_throw_event *event;

	if (!call)
		return 0;
	event = bpf_ringbuf_reserve(&throw_events, sizeof(*event), 0);
	if (!event)
		return 0;
	wait.whose = (uint32_t)bpf_get_current_pid_tgid();
	wait.asked_ns = bpf_ktime_get_ns();
	event->time_ns = wait.asked_ns;
	event->tid = wait.whose;
	event->tgid = ML_COOKIE_PROCESS(bpf_get_attach_cookie(ctx));
	if (!note_calls(call, event)) {
		bpf_ringbuf_discard(event, 0);
		return 0;
	}
	bpf_ringbuf_submit(event, 0);
	bpf_loop(THROW_WAIT_ROUNDS, throw_round, &wait, 0);
	return 0;
}

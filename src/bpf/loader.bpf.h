/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/**
 * Lets the dynamic loader wait until the tool knows what it has just mapped, so that the library's
 * first allocations have rows to be walked by and are probed.
 *
 * Loaders call _dl_debug_state() for debuggers when they begin to change what is loaded and when
 * that is done, before any code of the new libraries runs (glibc: elf/dl-open.c; musl:
 * ldso/dynlink.c). Part of user.bpf.c.
 */

/* More than can be made in ML_LOAD_WAIT_NS. */
#define LOAD_WAIT_ROUNDS (1u << 22)

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} load_events SEC(".maps");

/* Process → the time (CLOCK_MONOTONIC) of the newest event the tool has dealt with. Processes the
 * tool does not listen to, as while it starts them, are not in it. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, uint32_t);
	__type(value, uint64_t);
} loads_heard SEC(".maps");

static long load_round(uint32_t index, void *context)
{
	struct tool_wait *wait = context;
	uint64_t *heard = bpf_map_lookup_elem(&loads_heard, &wait->whose);

	if (!heard || *heard >= wait->asked_ns)
		return 1;
	return wait_on(wait, ML_LOAD_WAIT_NS);
}

/* At _dl_debug_state(). A program that may sleep can have no tail call, but keeps the kernel's
 * stack (see keep_kernel_stack()) as long as it uses less than 64 bytes of it. */
SEC("uprobe.s")
int on_load(struct pt_regs *ctx)
{
	struct tool_wait wait = {.whose = ML_COOKIE_PROCESS(bpf_get_attach_cookie(ctx)),
				 .ip = ctx->ip,
				 .asked_ns = bpf_ktime_get_ns()};
	struct ml_load_event *event = bpf_ringbuf_reserve(&load_events, sizeof(*event), 0);

	if (!event)
		return 0;
	event->time_ns = wait.asked_ns;
	event->tgid = wait.whose;
	event->reserved = 0;
	bpf_ringbuf_submit(event, 0);
	bpf_loop(LOAD_WAIT_ROUNDS, load_round, &wait, 0);
	return 0;
}

// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/** Times the stack walk beside the kernel's own bpf_get_stack(), at the same return. */
#include "user.bpf.c"

#include "walk_times.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, struct walk_times);
} times SEC(".maps");

SEC("uprobe")
int time_walk(struct pt_regs *ctx)
{
	struct thread_state *thread = thread_state(BPF_LOCAL_STORAGE_GET_F_CREATE);
	uint32_t process = (uint32_t)(bpf_get_current_pid_tgid() >> 32), zero = 0;
	struct walk_times *out = bpf_map_lookup_elem(&times, &zero);

	keep_kernel_stack(ctx, &nowhere_from_call);
	if (!thread || !out)
		return 0;

	struct walk walk = {
		.thread = thread,
		.maps = bpf_map_lookup_elem(&processes, &process),
		.regs = {.ip = ctx->ip, .sp = ctx->sp, .bp = ctx->bp, .bx = ctx->bx, .is_call = 1},
		.depth = ML_STACK_DEPTH,
	};
	uint64_t start_ns = bpf_ktime_get_ns();

	walk_stack(ctx, &walk);

	uint64_t walked_ns = bpf_ktime_get_ns();
	long bytes = bpf_get_stack(ctx, out->kernel_ip, sizeof(out->kernel_ip), BPF_F_USER_STACK);
	uint64_t end_ns = bpf_ktime_get_ns();

	out->clock_ns += bpf_ktime_get_ns() - end_ns;
	out->walk_ns += walked_ns - start_ns;
	out->kernel_ns += end_ns - walked_ns;
	out->count++;
	out->frames = walk.count;
	out->end = walk.end;
	out->kernel_frames = bytes > 0 ? (uint32_t)bytes / 8 : 0;
	return 0;
}

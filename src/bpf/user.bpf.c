// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/**
 * The books of a process's allocations, kept in the kernel where the calls happen.
 *
 * Every probe's cookie says what the function does, its number for --trace, and in its upper half
 * the process (as the tool numbers it, so that pid namespaces do not matter).
 *
 * An allocating function is probed at its entry and at its return. Which of the two a session
 * program runs for is told by the instruction pointer: bpf_session_is_return() would do too, but
 * its prototype changed in Linux 7.0.
 *
 * Rules of the books (docs/ARCHITECTURE.md): a nested call is the outer one's business; a failed
 * call changes nothing; the block a realloc replaces leaves the table before the call, because
 * another thread may be given its address before the return; mmap called by an allocator or the C
 * library itself is not the program's.
 */
#include "vmlinux.h"

#include <bpf/bpf_helpers.h>

#include <bpf/bpf_core_read.h>

#include "shared/counters.h"
#include "shared/sample_weight.h"
#include "shared/trace_abi.h"
#include "shared/walk_end.h"

/* Hides from the compiler what it could prove about @x. */
#define UNPROVABLE(x) asm volatile("" : "+r"(x))

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* A thread's call in progress, and the scratch of its stack walk. Task storage, not per-CPU: a
 * uprobe program can be preempted and another thread's run on the same CPU. Fits in a page with the
 * storage header, so that the allocation is dependable. */
struct thread_state {
	uint64_t outer_sp; /* rsp at the entry of the call in progress, 0 = none */
	uint64_t cookie;   /* of its entry */
	uint64_t size;
	uint64_t pointer; /* the old block, the out argument, or the range */
	uint64_t old_length;
	uint64_t entry_ns;
	uint64_t freed;            /* by the last call, a known block */
	struct ml_live_record old; /* what realloc took out */
	uint64_t weight_bytes;
	int64_t byte_budget;   /* --sample-bytes: bytes until the next sample */
	uint32_t weight_count; /* 0: the call is not sampled */
	uint32_t nth;          /* --sample-rate: allocations since the last kept */
	uint32_t role;
	uint32_t has_old;
	uint64_t python;       /* the thread's PyThreadState, when it was found */
	uint32_t python_lost;  /* how often it was not */
	uint32_t has_java;     /* the walk in progress came through Java code */
	uint64_t window_base;  /* address of window[0] */
	uint64_t window_bytes; /* how much of it was read */
	uint64_t wall;         /* a page that could not be read: where the stack ends */
	uint64_t window[ML_WINDOW_WORDS];
	struct ml_stack_record stack;
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct thread_state);
} threads SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, struct ml_trace_config);
} config SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 21);
	__type(key, struct ml_live_key);
	__type(value, struct ml_live_record);
} live SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 16);
	__type(key, uint64_t);
	__type(value, struct ml_site_record);
} sites SEC(".maps");

#include "books.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 16);
	__type(key, uint64_t);
	__type(value, struct ml_stack_record);
} stacks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 16);
	__type(key, uint64_t);
	__type(value, struct ml_python_record);
} python_stacks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, uint32_t);
	__type(value, struct ml_process_maps);
} processes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1 << 19);
	__type(key, uint32_t);
	__type(value, uint64_t);
} rows SEC(".maps");

/* For each KiB of text: low half the first row in it, high half the first row behind it. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1 << 17);
	__type(key, uint32_t);
	__type(value, uint64_t);
} pages SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 19);
} name_events SEC(".maps");

/* A program array takes programs of one attach type only, so the two kinds have one each. */
struct nowhere {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, uint32_t);
};
struct nowhere nowhere_from_call SEC(".maps");
struct nowhere nowhere_from_free SEC(".maps");

/**
 * Keeps a program on the kernel's stack. Since Linux 6.13 a program of our type is given a private
 * stack, one per CPU, but uprobe programs have no guard against running twice on one CPU:
 * preempted, two threads would share it and the kernel crashes. A program with a tail call gets
 * none (check_max_stack_depth() in kernel/bpf/verifier.c); this one is never taken, for a context
 * is never NULL, which neither the compiler nor the verifier knows.
 */
static __always_inline void keep_kernel_stack(struct pt_regs *ctx, void *nowhere)
{
	struct pt_regs *same = ctx;

	UNPROVABLE(same);
	if (!same)
		bpf_tail_call(ctx, nowhere, 0);
}

static __always_inline const struct ml_trace_config *trace_config(void)
{
	uint32_t zero = 0;

	return bpf_map_lookup_elem(&config, &zero);
}

/* Processes have moved to another tracer: only those in the table are booked. */
uint32_t processes_move;

static __always_inline bool has_moved(uint64_t cookie)
{
	uint32_t process = ML_COOKIE_PROCESS(cookie);

	return *(volatile uint32_t *)&processes_move && !bpf_map_lookup_elem(&processes, &process);
}

static __always_inline struct thread_state *thread_state(uint64_t flags)
{
	return bpf_task_storage_get(&threads, bpf_get_current_task_btf(), 0, flags);
}

#include "walk.bpf.h"

#include "sample.bpf.h"

static __always_inline bool size_wanted(const struct ml_trace_config *cfg, uint64_t size)
{
	return size >= cfg->min_size && size <= cfg->max_size;
}

#include "tell.bpf.h"

/* ---- the books ------------------------------------------------------------------------------- */

static __always_inline struct ml_site_record *new_site(uint64_t id)
{
	struct ml_site_record fresh = {};

	bpf_map_update_elem(&sites, &id, &fresh, BPF_NOEXIST);

	struct ml_site_record *site = bpf_map_lookup_elem(&sites, &id);

	if (!site)
		count(ML_COUNTER_SITE_TABLE_FULL);
	return site;
}

/* Puts the block into the table. One that is there already was freed without our seeing it. */
static __always_inline bool keep_block(struct ml_live_key *key, struct ml_live_record *record)
{
	if (!bpf_map_update_elem(&live, key, record, BPF_NOEXIST))
		return true;

	struct ml_live_record *unseen = bpf_map_lookup_elem(&live, key);

	if (unseen) {
		struct ml_live_record gone = *unseen;

		book_site_free(&gone);
		*unseen = *record;
		return true;
	}
	count(ML_COUNTER_LIVE_TABLE_FULL);
	return false;
}

static __always_inline void book_alloc(struct thread_state *thread, struct ml_live_key *key,
				       struct recorded_stack stack)
{
	struct ml_live_record record = {
		.size = thread->size,
		.weight_bytes = thread->weight_bytes,
		.stack = stack.id,
		.born_ns = bpf_ktime_get_ns(),
		.tid = (uint32_t)bpf_get_current_pid_tgid(),
		.weight_count = thread->weight_count,
	};

	if (!keep_block(key, &record))
		return;

	struct ml_site_record *site = stack.site ? stack.site : new_site(stack.id);

	if (!site)
		return;
	__sync_fetch_and_add(&site->allocs, record.weight_count);
	__sync_fetch_and_add(&site->alloc_bytes, record.weight_bytes);
}

/* Takes the block at @address out of the table; false when it is not there. */
static __always_inline bool take_block(uint32_t process, uint64_t address,
				       struct ml_live_record *out)
{
	struct ml_live_key key = {.address = address, .tgid = process};
	struct ml_live_record *record = bpf_map_lookup_elem(&live, &key);

	if (!record)
		return false;
	*out = *record;
	/* Two threads freeing one block is the program's bug; only one of them is booked. */
	return !bpf_map_delete_elem(&live, &key);
}

/* Where the kernel redirects hijacked returns to: the start of the process's XOL area
 * (uprobe_get_trampoline_vaddr()). The word popped at the return does not tell: since Linux 6.11
 * the trampoline saves rax over it before it enters the kernel. Not cached, as exec changes it. */
static __always_inline uint64_t return_trampoline(void)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();

	return BPF_CORE_READ(task, mm, uprobes_state.xol_area, vaddr);
}

/* ---- a call's entry -------------------------------------------------------------------------- */

/* True while the call noted in @thread is in progress and the one at @sp is made by it. A tail call
 * (realloc(NULL, n) jumps to malloc) has the same rsp. After a longjmp or an exception the note is
 * stale: the return address at its place is no more the one the kernel put there. */
static __always_inline bool is_nested(struct thread_state *thread, uint64_t sp)
{
	uint64_t hijacked;

	if (!thread->outer_sp)
		return false;
	if (sp <= thread->outer_sp &&
	    !bpf_probe_read_user(&hijacked, sizeof(hijacked), (void *)thread->outer_sp) &&
	    hijacked == return_trampoline())
		return true;
	thread->outer_sp = 0;
	thread->has_old = 0;
	count(ML_COUNTER_RETURNS_LOST);
	return false;
}

static __always_inline bool is_called_by_allocator(struct pt_regs *ctx, uint64_t cookie)
{
	uint32_t process = ML_COOKIE_PROCESS(cookie);
	struct ml_process_maps *maps = bpf_map_lookup_elem(&processes, &process);
	uint64_t caller;

	if (!maps || bpf_probe_read_user(&caller, sizeof(caller), (void *)ctx->sp))
		return false;

	const struct ml_process_map *map = find_map(maps, caller - 1);

	return map && (map->flags & ML_PROCESS_MAP_ALLOCATOR);
}

/* Reads the arguments by role. */
static __always_inline void note_arguments(struct thread_state *thread, struct pt_regs *ctx,
					   uint32_t role)
{
	thread->pointer = 0;
	thread->old_length = 0;
	switch (role) {
	case ML_ROLE_MALLOC:
		thread->size = ctx->di;
		break;
	case ML_ROLE_CALLOC:
		thread->size = ctx->di * ctx->si;
		break;
	case ML_ROLE_REALLOC:
		thread->pointer = ctx->di;
		thread->size = ctx->si;
		break;
	case ML_ROLE_REALLOCARRAY:
		thread->pointer = ctx->di;
		thread->size = ctx->si * ctx->dx;
		break;
	case ML_ROLE_POSIX_MEMALIGN:
		thread->pointer = ctx->di;
		thread->size = ctx->dx;
		break;
	case ML_ROLE_ALIGNED_ALLOC:
		thread->size = ctx->si;
		break;
	case ML_ROLE_MMAP:
		thread->size = ctx->si;
		break;
	case ML_ROLE_MUNMAP:
		thread->pointer = ctx->di;
		thread->size = ctx->si;
		break;
	case ML_ROLE_MREMAP:
		thread->pointer = ctx->di;
		thread->old_length = ctx->si;
		thread->size = ctx->dx;
		break;
	}
}

static __always_inline bool role_maps(uint32_t role)
{
	return role == ML_ROLE_MMAP || role == ML_ROLE_MUNMAP || role == ML_ROLE_MREMAP;
}

static __always_inline bool role_resizes(uint32_t role)
{
	return role == ML_ROLE_REALLOC || role == ML_ROLE_REALLOCARRAY;
}

/* At the first instructions of an allocating function; 1 when its return does not matter. */
static __always_inline int call_begins(struct pt_regs *ctx, uint64_t cookie)
{
	const struct ml_trace_config *cfg = trace_config();
	struct thread_state *thread = thread_state(BPF_LOCAL_STORAGE_GET_F_CREATE);
	uint32_t role = ML_COOKIE_ROLE(cookie);

	if (has_moved(cookie))
		return 1;
	count(ML_SLOT_EVENTS);
	if (!cfg)
		return 1;
	if (!thread) {
		count(ML_COUNTER_TASK_STATE_LOST);
		return 1;
	}
	if (is_nested(thread, ctx->sp))
		return 1;
	thread->freed = 0;
	if (role_maps(role) && is_called_by_allocator(ctx, cookie))
		return 1;

	note_arguments(thread, ctx, role);
	if (role_maps(role))
		thread->weight_count = 1;
	else
		sample(thread, cfg, thread->size);
	/* malloc itself calls nothing that is probed but mmap, which is known by its caller: when
	 * it is not sampled its return need not be waited for. */
	if (role == ML_ROLE_MALLOC && !thread->weight_count && !cfg->trace_calls)
		return 1;
	thread->has_old = 0;
	if (role_resizes(role) && thread->pointer)
		thread->has_old =
			take_block(ML_COOKIE_PROCESS(cookie), thread->pointer, &thread->old);
	thread->role = role;
	thread->cookie = cookie;
	if (role_maps(role))
		thread->entry_ns = bpf_ktime_get_ns();
	thread->outer_sp = ctx->sp;
	return 0;
}

/* ---- a call's return ------------------------------------------------------------------------- */

/* The address an allocating or mapping call gave, 0 for a failure. */
static __always_inline uint64_t result_of(struct thread_state *thread, uint64_t rax)
{
	uint64_t address = 0;

	if (role_maps(thread->role))
		return rax >= (uint64_t)-4095 ? 0 : rax; /* MAP_FAILED */
	if (thread->role != ML_ROLE_POSIX_MEMALIGN)
		return rax;
	if ((uint32_t)rax ||
	    bpf_probe_read_user(&address, sizeof(address), (void *)thread->pointer))
		return 0;
	return address;
}

static __always_inline void unmap_ends(struct pt_regs *ctx, struct thread_state *thread,
				       const struct ml_trace_config *cfg, uint64_t cookie)
{
	if ((uint32_t)ctx->ax) /* failed */
		return;
	tell_map(thread, cookie, thread->pointer, thread->size, 0);
	tell_call(cfg, cookie, thread->size, thread->pointer, 0);
}

/* The block a realloc was given is freed, or (it failed) still there. */
static __always_inline void settle_old(struct thread_state *thread, uint64_t cookie,
				       uint64_t address)
{
	if (!role_resizes(thread->role) || !thread->pointer)
		return;

	bool failed = !address && thread->size;

	if (failed && thread->has_old) {
		struct ml_live_key key = {.address = thread->pointer,
					  .tgid = ML_COOKIE_PROCESS(cookie)};
		struct ml_live_record old = thread->old;

		if (bpf_map_update_elem(&live, &key, &old, BPF_ANY))
			count(ML_COUNTER_LIVE_TABLE_FULL);
	} else if (!failed && thread->has_old) {
		struct ml_live_record old = thread->old;

		book_site_free(&old);
	} else if (!failed) {
		count(ML_SLOT_UNTRACKED_FREES);
	}
	thread->has_old = 0;
}

/* The cookie is the entry's: Linux 6.1 does not filter the return probes of perf events by process
 * (uretprobe_perf_func() in kernel/trace/trace_uprobe.c), so that a return is told to the programs
 * of all traced processes that share the file. The first one settles it. */
static __always_inline void call_ends(struct pt_regs *ctx)
{
	const struct ml_trace_config *cfg = trace_config();
	struct thread_state *thread = thread_state(0);

	if (!cfg || !thread || !thread->outer_sp)
		return;
	/* The return of a nested call: its rsp is not the one noted, plus the popped return
	 * address. */
	if (ctx->sp != thread->outer_sp + 8)
		return;

	uint64_t cookie = thread->cookie;

	thread->outer_sp = 0;

	if (has_moved(cookie))
		return;
	if (thread->role == ML_ROLE_MUNMAP) {
		unmap_ends(ctx, thread, cfg, cookie);
		return;
	}

	uint32_t process = ML_COOKIE_PROCESS(cookie);
	uint64_t address = result_of(thread, ctx->ax);
	bool is_wanted = size_wanted(cfg, thread->size);
	struct recorded_stack stack = {};

	settle_old(thread, cookie, address);
	if (!address)
		return;
	if (is_wanted)
		tell_call(cfg, cookie, thread->size, address,
			  thread->role == ML_ROLE_POSIX_MEMALIGN ? 0 : thread->pointer);
	/* The walk is here once: the verifier goes through it again for every place it is called
	 * from. */
	if (is_wanted && thread->weight_count)
		stack = record_stack(ctx, thread, cfg, process);
	if (role_maps(thread->role)) {
		tell_map(thread, cookie, address, thread->size, stack.id);
	} else if (stack.id) {
		struct ml_live_key key = {.address = address, .tgid = process};

		book_alloc(thread, &key, stack);
	}
}

/* ---- programs -------------------------------------------------------------------------------- */

/* Session links (Linux 6.13): one program for entry and return. */
SEC("uprobe")
int on_call(struct pt_regs *ctx)
{
	uint64_t cookie = bpf_get_attach_cookie(ctx);

	keep_kernel_stack(ctx, &nowhere_from_call);
	if (ctx->ip == bpf_get_func_ip(ctx))
		return call_begins(ctx, cookie);
	call_ends(ctx);
	return 0;
}

/* Older kernels: two programs. They always give 0: 1 would take the probe out (Linux 6.6). */
SEC("uprobe")
int on_entry(struct pt_regs *ctx)
{
	keep_kernel_stack(ctx, &nowhere_from_call);
	call_begins(ctx, bpf_get_attach_cookie(ctx));
	return 0;
}

SEC("uprobe")
int on_return(struct pt_regs *ctx)
{
	keep_kernel_stack(ctx, &nowhere_from_call);
	call_ends(ctx);
	return 0;
}

SEC("uprobe")
int on_free(struct pt_regs *ctx)
{
	uint64_t cookie = bpf_get_attach_cookie(ctx), address = ctx->di;
	const struct ml_trace_config *cfg = trace_config();
	struct ml_live_record record;

	keep_kernel_stack(ctx, &nowhere_from_free);
	if (!address || !cfg || has_moved(cookie))
		return 0;
	count(ML_SLOT_EVENTS);

	struct thread_state *thread = thread_state(0);

	if (thread && is_nested(thread, ctx->sp))
		return 0;
	if (take_block(ML_COOKIE_PROCESS(cookie), address, &record)) {
		if (thread)
			thread->freed = address;
		book_site_free(&record);
		tell_call(cfg, cookie, record.size, address, 0);
		return 0;
	}
	/* A free that leads on to another one (operator delete of jemalloc) comes here twice. */
	if (thread && thread->freed == address) {
		thread->freed = 0;
		return 0;
	}
	count(ML_SLOT_UNTRACKED_FREES);
	tell_call(cfg, cookie, 0, address, 0);
	return 0;
}

#include "wait.bpf.h"

#include "loader.bpf.h"

#include "throw.bpf.h"

/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * The agent: runs inside the target at every call of an allocation function and keeps the books.
 *
 * Freestanding: no C library, no thread-local storage, no relocations, no vector registers, no lock
 * (a thread may be interrupted or die anywhere), and no system call but on rare paths. The rules of
 * the books are those of the programs in the kernel (src/bpf/user.bpf.c).
 */
#include "shared/agent_abi.h"

#include <stdbool.h>
#include <stddef.h>

#define LOAD(x)       __atomic_load_n(&(x), __ATOMIC_RELAXED)
#define ADD(x, n)     ((void)__atomic_fetch_add(&(x), (n), __ATOMIC_RELAXED))
#define LIKELY(x)     __builtin_expect(!!(x), 1)
#define UNLIKELY(x)   __builtin_expect(!!(x), 0)
#define RARE          __attribute__((noinline, cold))

#define GOLDEN        0x9e3779b97f4a7c15ull
#define BLOCK_BUSY    1ull
#define THREAD_PROBES 16u
/* Calls with the same heartbeat after which the clock is asked. */
#define HEARTBEAT_CALLS 16384u

/* A call, as entry.S builds it on the stack. */
struct call {
	struct call *outer; /* the thread's call in progress around this one */
	struct ml_agent_thread *thread;
	uint64_t size, pointer, old_length;
	uint32_t role;
	uint32_t is_kept;
	uint64_t reserved;
	struct ml_agent_block old; /* what realloc took out of the table; address 0: nothing */
	uint64_t r11, r10, r9, r8, rdi, rsi, rdx, rcx, rax;
	uint64_t rbp;
	uint64_t target; /* the descriptor's address, then the trampoline's */
	uint64_t return_address;
};

/* The size and alignment that entry.S relies on. */
_Static_assert(offsetof(struct call, r11) == 96, "CALL_BYTES");
_Static_assert(sizeof(struct ml_agent_block) == 40, "fits the call");

/* The writable page: where the memory is; all zero in forked children (MADV_WIPEONFORK). */
__attribute__((visibility("hidden"))) struct {
	struct ml_agent_memory *memory;
} ml_agent_data;

extern char ml_agent_returned[] __attribute__((visibility("hidden")));
uint32_t ml_agent_before(struct call *call);
void ml_agent_after(struct call *call);

static inline struct ml_agent_memory *memory_of(void)
{
	return __atomic_load_n(&ml_agent_data.memory, __ATOMIC_RELAXED);
}

static inline long system_call(long number, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}

enum {
	SYS_GETPID = 39,
	SYS_GETTID = 186,
	SYS_CLOCK_GETTIME = 228,
	SYS_TGKILL = 234,
	SYS_PROCESS_VM_READV = 310
};

static inline void count(struct ml_agent_memory *memory, uint32_t slot)
{
	ADD(memory->counters[slot], 1);
}

/* ---- threads ----------------------------------------------------------------------------------
 */

static bool claim(struct ml_agent_thread *thread, uint64_t old, uint64_t pointer)
{
	if (!__atomic_compare_exchange_n(&thread->pointer, &old, pointer, false, __ATOMIC_ACQ_REL,
					 __ATOMIC_ACQUIRE))
		return false;
	thread->tid = (uint32_t)system_call(SYS_GETTID, 0, 0, 0, 0, 0, 0);
	thread->call = 0;
	thread->is_walking = 0;
	thread->stack_low = thread->stack_high = 0;
	thread->random = pointer ^ GOLDEN;
	return true;
}

/* A place for a new thread, if need be that of one that has ended. */
RARE static struct ml_agent_thread *thread_new(struct ml_agent_memory *memory, uint64_t pointer,
					       uint32_t first)
{
	for (uint32_t i = 0; i < THREAD_PROBES; i++) {
		struct ml_agent_thread *thread =
			&memory->threads[(first + i) & (ML_AGENT_THREADS - 1)];

		if (LOAD(thread->pointer) == pointer)
			return thread;
	}

	long pid = system_call(SYS_GETPID, 0, 0, 0, 0, 0, 0);

	for (uint32_t i = 0; i < THREAD_PROBES; i++) {
		struct ml_agent_thread *thread =
			&memory->threads[(first + i) & (ML_AGENT_THREADS - 1)];
		uint64_t old = LOAD(thread->pointer);

		if (old && system_call(SYS_TGKILL, pid, thread->tid, 0, 0, 0, 0) == 0)
			continue;
		if (claim(thread, old, pointer))
			return thread;
	}
	return NULL;
}

static inline struct ml_agent_thread *thread_of(struct ml_agent_memory *memory)
{
	uint64_t pointer;

	__asm__("mov %%fs:0, %0" : "=r"(pointer));

	uint32_t first = (uint32_t)((pointer * GOLDEN) >> 54) & (ML_AGENT_THREADS - 1);
	struct ml_agent_thread *thread = &memory->threads[first];

	if (LIKELY(LOAD(thread->pointer) == pointer))
		return thread;
	return thread_new(memory, pointer, first);
}

RARE static void check_heartbeat(struct ml_agent_memory *memory)
{
	struct {
		long seconds, ns;
	} now;

	if (system_call(SYS_CLOCK_GETTIME, 1, (long)&now, 0, 0, 0, 0))
		return;
	if ((uint64_t)now.seconds * 1000000000u + (uint64_t)now.ns >
	    LOAD(memory->now_ns) + ML_AGENT_LAPSE_NS)
		__atomic_store_n(&memory->header.mode, ML_AGENT_LAPSED, __ATOMIC_RELAXED);
}

static inline void feel_heartbeat(struct ml_agent_memory *memory, struct ml_agent_thread *thread)
{
	uint64_t now = LOAD(memory->now_ns);

	thread->events++;
	if (now != thread->seen_ns) {
		thread->seen_ns = now;
		thread->seen_count = 0;
	} else if (UNLIKELY(++thread->seen_count % HEARTBEAT_CALLS == 0)) {
		check_heartbeat(memory);
	}
}

#include "agent/books.h"
#include "agent/walk.h"

/* ---- which calls are kept ----------------------------------------------------------------------
 */

static bool is_sampled(const struct ml_agent_memory *memory, struct ml_agent_thread *thread)
{
	if (memory->config.sample_every <= 1)
		return true;
	if (++thread->nth < memory->config.sample_every)
		return false;
	thread->nth = 0;
	return true;
}

static bool is_size_wanted(const struct ml_agent_memory *memory, uint64_t size)
{
	return size >= memory->config.min_size && size <= memory->config.max_size;
}

static bool is_allocator_code(const struct ml_agent_memory *memory, uint64_t ip)
{
	const struct ml_process_map *map = find_map(memory, ip - 1);

	return map && (map->flags & ML_PROCESS_MAP_ALLOCATOR);
}

/* True when @call is made by the thread's call in progress: from the allocator's code, or by a tail
 * call of a function the agent called. A signal handler's calls are its own. */
static bool is_nested(struct ml_agent_memory *memory, struct ml_agent_thread *thread,
		      const struct call *call)
{
	const struct call *outer = (const struct call *)LOAD(thread->call);

	if (call->return_address == (uint64_t)ml_agent_returned)
		return true;
	if (!outer || call >= outer)
		return false;
	/* A longjmp or an exception leaves a call behind. */
	if (!is_readable(thread, (uint64_t)call, (uint64_t)outer - 8) ||
	    ((const uint64_t *)outer)[-1] != (uint64_t)ml_agent_returned) {
		thread->call = 0;
		count(memory, ML_COUNTER_RETURNS_LOST);
		return false;
	}
	return memory->is_static || is_allocator_code(memory, call->return_address);
}

/* ---- calls --------------------------------------------------------------------------------------
 */

static void note_arguments(struct call *call, uint32_t role)
{
	call->pointer = call->rdi;
	switch (role) {
	case ML_ROLE_MALLOC:
		call->size = call->rdi;
		break;
	case ML_ROLE_CALLOC:
		call->size = call->rdi * call->rsi;
		break;
	case ML_ROLE_REALLOCARRAY:
		call->size = call->rsi * call->rdx;
		break;
	case ML_ROLE_POSIX_MEMALIGN:
		call->size = call->rdx;
		break;
	case ML_ROLE_MREMAP:
		call->old_length = call->rsi;
		call->size = call->rdx;
		break;
	default: /* realloc, aligned_alloc, mmap, munmap */
		call->size = call->rsi;
		break;
	}
}

static bool role_maps(uint32_t role)
{
	return role == ML_ROLE_MMAP || role == ML_ROLE_MUNMAP || role == ML_ROLE_MREMAP;
}

static bool role_resizes(uint32_t role)
{
	return role == ML_ROLE_REALLOC || role == ML_ROLE_REALLOCARRAY;
}

static void free_call(struct ml_agent_memory *memory, struct call *call)
{
	struct ml_agent_thread *thread = thread_of(memory);
	struct ml_agent_block gone;

	if (!call->rdi)
		return;
	if (thread) {
		feel_heartbeat(memory, thread);
		if (is_nested(memory, thread, call))
			return;
	}
	if (take_block(memory, call->rdi, &gone))
		return;
	if (thread)
		thread->untracked_frees++;
	else
		count(memory, ML_SLOT_UNTRACKED_FREES);
}

/* 1 when the function's return matters. */
uint32_t ml_agent_before(struct call *call)
{
	const struct ml_agent_descriptor *descriptor = (const void *)call->target;
	struct ml_agent_memory *memory = memory_of();
	uint32_t role = descriptor->role;

	call->target = descriptor->trampoline;
	if (UNLIKELY(!memory || LOAD(memory->header.mode) != ML_AGENT_ON))
		return 0;
	if (role == ML_ROLE_FREE) {
		free_call(memory, call);
		return 0;
	}

	struct ml_agent_thread *thread = thread_of(memory);

	if (UNLIKELY(!thread)) {
		count(memory, ML_COUNTER_TASK_STATE_LOST);
		if (role_resizes(role) && call->rdi && call->rsi)
			take_block(memory, call->rdi, &call->old);
		return 0;
	}
	feel_heartbeat(memory, thread);
	if (is_nested(memory, thread, call))
		return 0;
	if (role_maps(role) && is_allocator_code(memory, call->return_address))
		return 0;
	note_arguments(call, role);
	call->thread = thread;
	call->old.address = 0;
	call->role = role;
	call->is_kept = !role_maps(role) && is_sampled(memory, thread);
	if (role == ML_ROLE_MALLOC && !call->is_kept)
		return 0;
	if (role_resizes(role) && call->pointer)
		take_block(memory, call->pointer, &call->old);
	call->outer = (struct call *)thread->call;
	thread->call = (uint64_t)call;
	return 1;
}

static void map_call_ends(struct ml_agent_memory *memory, struct call *call, uint32_t role)
{
	struct ml_map_event event = {
		.time_ns = LOAD(memory->now_ns),
		.address = call->rax,
		.length = call->size,
		.tgid = memory->tgid,
		.tid = call->thread->tid,
		.role = role,
	};

	if (role == ML_ROLE_MUNMAP && (uint32_t)call->rax)
		return;
	if (role == ML_ROLE_MUNMAP)
		event.address = call->pointer;
	else if (call->rax >= (uint64_t)-4095)
		return;
	if (role == ML_ROLE_MREMAP) {
		event.old_address = call->pointer;
		event.old_length = call->old_length;
	}
	if (role != ML_ROLE_MUNMAP && is_size_wanted(memory, call->size))
		event.stack = stack_of(memory, call->thread, call) + ML_STACK_ID_NONE;
	tell_map(memory, &event);
}

static void settle_old(struct ml_agent_memory *memory, struct call *call, uint64_t address)
{
	if (!address && call->size) {
		if (call->old.address)
			put_block(memory, &call->old);
	} else if (!call->old.address) {
		call->thread->untracked_frees++;
	}
}

void ml_agent_after(struct call *call)
{
	struct ml_agent_memory *memory = memory_of();
	struct ml_agent_thread *thread = call->thread;
	uint32_t role = call->role;

	if (UNLIKELY(!memory))
		return;
	thread->call = (uint64_t)call->outer;
	if (role_maps(role)) {
		map_call_ends(memory, call, role);
		return;
	}

	uint64_t address = call->rax;

	if (role == ML_ROLE_POSIX_MEMALIGN)
		address = (uint32_t)call->rax ? 0 : *(const uint64_t *)call->pointer;
	if (role_resizes(role) && call->pointer)
		settle_old(memory, call, address);
	if (!address || !call->is_kept || !is_size_wanted(memory, call->size))
		return;

	struct ml_agent_block block = {
		.address = address,
		.size = call->size,
		.born_ns = LOAD(memory->now_ns),
		.stack = stack_of(memory, thread, call),
		.tid = thread->tid,
	};

	book_alloc(memory, &block);
}

/* What compilers call for copies and clears. */
void *memcpy(void *to, const void *from, size_t size)
{
	void *result = to;

	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
	return result;
}

void *memset(void *to, int value, size_t size)
{
	void *result = to;

	__asm__ volatile("rep stosb" : "+D"(to), "+c"(size) : "a"(value) : "memory");
	return result;
}

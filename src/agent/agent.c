/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * The agent: runs inside the target at every call of an allocation function and keeps the books.
 *
 * Freestanding: no C library, no thread-local storage, no relocations, no vector registers, no lock
 * (a thread may be interrupted or die anywhere), and no system call but on rare paths. The rules of
 * the books are those of the programs in the kernel (src/bpf/user.bpf.c).
 */
#include "shared/agent_abi.h"

#include "agent/x86_64/machine.h"
#include "agent/x86_64/offsets.h"

#include <stdbool.h>

#define LOAD(x)     __atomic_load_n(&(x), __ATOMIC_RELAXED)
#define ADD(x, n)   ((void)__atomic_fetch_add(&(x), (n), __ATOMIC_RELAXED))
#define LIKELY(x)   __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
#define RARE        __attribute__((noinline, cold))
/* Called by entry.S with every register but rax and the arguments' in use. */
#define KEEPS_REGISTERS __attribute__((no_caller_saved_registers))
#define IN_ORDER()      __asm__ volatile("" : : : "memory")

#define GOLDEN          0x9e3779b97f4a7c15ull

/* The writable page: where the memory is; all zero in forked children (inject/place.c). */
__attribute__((visibility("hidden"))) struct ml_agent_data ml_agent_data;

static inline struct ml_agent_memory *memory_of(void)
{
	return __atomic_load_n(&ml_agent_data.memory, __ATOMIC_RELAXED);
}

static inline void count(struct ml_agent_memory *memory, uint32_t slot)
{
	ADD(memory->counters[slot], 1);
}

#include "agent/threads.h"

#include "agent/books.h"

/* A call, as entry.S builds it on the stack. */
struct call {
	struct call *outer; /* the thread's call in progress around this one */
	struct ml_agent_thread *thread;
	const struct ml_agent_descriptor *descriptor;
	uint64_t size, pointer;
	union {
		uint64_t old_length;
		struct ml_agent_trace *ways; /* of a plain call: what ways_of() gives */
	};
	uint32_t role;
	uint32_t kept;     /* KEPT_… */
	struct block old;  /* what realloc took out of the table; address 0: nothing */
	uint32_t is_plain; /* the short way back will do */
	uint32_t is_substituted;
	uint64_t r11, r10, r9, r8, rdi, rsi, rdx, rcx, rax;
	uint64_t rbp;
	uint64_t target; /* the descriptor's address, then the trampoline's */
	uint64_t return_address;
};

#include "agent/wait.h"

#include "agent/walk.h"

#include "agent/stacks.h"

#include "agent/course.h"

#include "agent/traces.h"

#include "agent/sample.h"

#include "agent/x86_64/relied_on.h"

extern char ml_agent_returned[] __attribute__((visibility("hidden")));
uint32_t ml_agent_before(struct call *call);
uint32_t ml_agent_after(struct call *call);
KEEPS_REGISTERS uint32_t ml_agent_free_near(uint64_t address, struct ml_agent_memory *memory);
KEEPS_REGISTERS void ml_agent_clear_sieve(uint64_t address, struct ml_agent_memory *memory);
KEEPS_REGISTERS uint32_t *ml_agent_place(struct ml_agent_memory *memory,
					 struct ml_agent_thread *thread, uint64_t address,
					 uint64_t size);
KEEPS_REGISTERS struct ml_agent_trace *ml_agent_with_python(struct ml_agent_memory *memory,
							    struct ml_agent_thread *thread,
							    struct ml_agent_trace *trace);

/* ---- which calls are kept ----------------------------------------------------------------------
 */

static bool is_size_wanted(const struct ml_agent_memory *memory, uint64_t size)
{
	return size >= memory->config.min_size && size <= memory->config.max_size;
}

static bool role_maps(uint32_t role)
{
	return role == ML_ROLE_MMAP || role == ML_ROLE_MUNMAP || role == ML_ROLE_MREMAP;
}

static bool is_allocator_code(const struct ml_agent_memory *memory, uint64_t ip)
{
	const struct ml_process_map *map = find_map(memory, ip - 1);

	return map && (map->flags & ML_PROCESS_MAP_ALLOCATOR);
}

RARE static bool is_nested_in(struct ml_agent_memory *memory, struct ml_agent_thread *thread,
			      const struct call *call, const struct call *outer)
{
	if (call >= outer)
		return false;
	/* A longjmp or an exception leaves a call behind. */
	if (!is_readable(thread, (uint64_t)call, (uint64_t)outer - 8) ||
	    ((const uint64_t *)outer)[-1] != (uint64_t)ml_agent_returned) {
		thread->call = 0;
		count(memory, ML_COUNTER_RETURNS_LOST);
		return false;
	}
	/* Pages for an allocator may come through a library it uses (libunwind's of tcmalloc). */
	return memory->is_static || role_maps(call->role) ||
	       is_allocator_code(memory, call->return_address);
}

/* True when @call is made by the thread's call in progress: from the allocator's code, or by a tail
 * call of a function the agent called. A signal handler's calls are its own. */
static inline bool is_nested(struct ml_agent_memory *memory, struct ml_agent_thread *thread,
			     const struct call *call)
{
	const struct call *outer = (const struct call *)LOAD(thread->call);

	if (UNLIKELY(call->return_address == (uint64_t)ml_agent_returned))
		return true;
	return UNLIKELY(outer != NULL) && is_nested_in(memory, thread, call, outer);
}

/* True when @call is made by one that was let pass since it was not kept (entry.S): malloc by a
 * jump, any from the allocator's code while that one's return address still stands where it stood.
 */
static bool is_passing(const struct ml_agent_memory *memory, struct ml_agent_thread *thread,
		       const struct call *call)
{
	uint64_t here = (uint64_t)&call->return_address, sp = thread->passing_sp;

	if (here == sp)
		return call->role == ML_ROLE_MALLOC && call->return_address == thread->passing_ip;
	return here < sp && is_readable(thread, here, sp) &&
	       *(const uint64_t *)sp == thread->passing_ip &&
	       (memory->is_static || is_allocator_code(memory, call->return_address));
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

static bool role_resizes(uint32_t role)
{
	return role == ML_ROLE_REALLOC || role == ML_ROLE_REALLOCARRAY;
}

/* The address a call gave or took away; 0 when it failed. */
static uint64_t result_of(const struct call *call)
{
	if (call->role == ML_ROLE_MUNMAP)
		return (uint32_t)call->rax ? 0 : call->pointer;
	if (role_maps(call->role))
		return call->rax >= (uint64_t)-4095 ? 0 : call->rax;
	if (call->role != ML_ROLE_POSIX_MEMALIGN)
		return call->rax;
	return (uint32_t)call->rax ? 0 : *(const uint64_t *)call->pointer;
}

#include "agent/events.h"

#include "agent/prior.h"

/* Takes out the block that the call frees or resizes. */
static bool unbook(struct ml_agent_memory *memory, uint64_t address, struct block *old)
{
	bool is_sampling = memory->always_bytes;

	if (is_sampling && !*filter_of(memory, address))
		return false;
	if (!take_block(memory, address, old))
		return false;
	if (old->stack & ML_AGENT_STACK_SAMPLED)
		take_from_filter(memory, address);
	return true;
}

static void free_call(struct ml_agent_memory *memory, struct call *call)
{
	struct ml_agent_thread *thread = thread_of(memory);
	bool is_inner = false;
	struct block gone;

	if (!call->rdi)
		return;
	if (thread) {
		feel_heartbeat(memory, thread);
		is_inner = is_nested(memory, thread, call);
	}
	if (UNLIKELY(memory->config.trace_calls)) {
		if (!is_inner)
			tell_call(memory, thread, call->descriptor, 0, call->rdi, 0);
		return;
	}
	/* What an allocator frees by itself is in no book, but for an exception that it caught. */
	if (!unbook(memory, call->rdi, &gone) && !is_inner)
		free_unknown(memory, thread, call->rdi);
}

static void swap_arguments(struct call *call)
{
	uint64_t first = call->rdi;

	if (!call->descriptor->swapped)
		return;
	call->rdi = call->rsi;
	call->rsi = first;
}

/* Has a function called that cannot throw: no exception can pass the agent's frame. */
static void substitute(struct call *call)
{
	call->is_substituted = 1;
	call->target = call->descriptor->substitute;
	swap_arguments(call);
}

/* A call of a thread that the agent has no place for. */
static void call_without_thread(struct ml_agent_memory *memory, const struct call *call,
				uint32_t role)
{
	struct block old;

	count(memory, ML_COUNTER_TASK_STATE_LOST);
	if (role_resizes(role) && call->rdi && call->rsi)
		unbook(memory, call->rdi, &old);
}

static void begin_call(struct ml_agent_memory *memory, struct call *call,
		       struct ml_agent_thread *thread, uint32_t role)
{
	call->thread = thread;
	call->old.address = 0;
	call->is_substituted = 0;
	if (call->descriptor->substitute)
		substitute(call);
	if (role_resizes(role) && call->pointer)
		unbook(memory, call->pointer, &call->old);
	call->outer = (struct call *)thread->call;
	call->is_plain = (role == ML_ROLE_CALLOC || role == ML_ROLE_ALIGNED_ALLOC) &&
			 !call->outer && !call->is_substituted && memory->is_exact &&
			 is_size_wanted(memory, call->size) && call->size < ML_AGENT_LARGE_BYTES;
	if (call->is_plain)
		call->ways = ways_of(thread, call->return_address, (uint64_t)(call + 1));
	IN_ORDER();
	thread->call = (uint64_t)call;
}

/* 1 when the function's return matters. */
uint32_t ml_agent_before(struct call *call)
{
	const struct ml_agent_descriptor *descriptor = (const void *)call->target;
	struct ml_agent_memory *memory = memory_of();
	struct ml_agent_thread *thread;
	uint32_t role = descriptor->role;
	bool is_inner;

	call->target = descriptor->trampoline;
	call->descriptor = descriptor;
	call->role = role;
	if (!memory || LOAD(memory->header.mode) != ML_AGENT_ON)
		return 0;
	if (role == ML_ROLE_FREE) {
		free_call(memory, call);
		return 0;
	}
	if (role == ML_ROLE_LOADED) {
		wait_for_look(memory);
		return 0;
	}
	thread = thread_of(memory);
	if (!thread) {
		call_without_thread(memory, call, role);
		return 0;
	}
	feel_heartbeat(memory, thread);
	note_arguments(call, role);
	if (UNLIKELY(role_maps(role)))
		ADD(memory->unmap_count, 1);
	is_inner = is_nested(memory, thread, call);
	/* A sampling point in a nested call is none, but its bytes count; as one of N it does not.
	 */
	call->kept = role_maps(role) || (is_inner && !memory->config.sample_bytes)
			     ? KEPT_NOT
			     : sample(memory, thread, call->size);
	if (call->kept == KEPT_AS_SAMPLE && is_passing(memory, thread, call))
		call->kept = KEPT_NOT;
	if (is_inner || (role_maps(role) && is_allocator_code(memory, call->return_address)) ||
	    (role == ML_ROLE_MALLOC && !call->kept))
		return 0;
	begin_call(memory, call, thread, role);
	return 1;
}

/* ---- what the short ways need beside themselves ------------------------------------------------
 */

/* Takes the block at @address out, whose place the thread does not remember. 1 when the call is
 * done with, 0 when it is for the long way: then it has not been counted. */
KEEPS_REGISTERS uint32_t ml_agent_free_near(uint64_t address, struct ml_agent_memory *memory)
{
	struct ml_agent_thread *thread = thread_of(memory);
	struct place place;

	if (UNLIKELY(!find_place(memory, thread->own_key, address, &place))) {
		add_local(&thread->events, -1ull);
		return 0;
	}
	remember(memory, thread, address, place);
	note_forgotten(memory, thread);
	empty_place(memory, address, place);
	return 1;
}

/* Nothing is left in the filter of what one bit of the sieve stands for. */
KEEPS_REGISTERS void ml_agent_clear_sieve(uint64_t address, struct ml_agent_memory *memory)
{
	clear_sieve(memory, address);
}

/* A place for the block at @address, of which the thread remembers none, now taken; NULL when there
 * is no room. */
KEEPS_REGISTERS uint32_t *ml_agent_place(struct ml_agent_memory *memory,
					 struct ml_agent_thread *thread, uint64_t address,
					 uint64_t size)
{
	const struct block block = {.address = address, .size = size};
	struct place place;

	return place_of_own(memory, thread, &block, &place) ? &place.line->key[place.i] : NULL;
}

/* The trace of the stack of @trace with the thread's Python functions in it, or @trace when there
 * are none; NULL when it is not complete. */
KEEPS_REGISTERS struct ml_agent_trace *ml_agent_with_python(struct ml_agent_memory *memory,
							    struct ml_agent_thread *thread,
							    struct ml_agent_trace *trace)
{
	struct ml_agent_trace *python;

	if (trace->end != (ML_WALK_COMPLETE | ML_AGENT_STACK_LOOP))
		return NULL;
	python = python_trace(memory, thread, trace->stack, trace);
	if (python && python->stack >= ML_AGENT_KEY_STACKS)
		return NULL;
	return python ? python : trace;
}

/* ---- returns ----------------------------------------------------------------------------------
 */

static uint64_t stack_alone(struct ml_agent_memory *memory, const struct call *call)
{
	struct ml_agent_trace *trace;
	uint32_t stack = stack_of(memory, call->thread, call, &trace);

	leave_traces(call->thread, call);
	return stack;
}

static void map_call_ends(struct ml_agent_memory *memory, struct call *call, uint32_t role)
{
	struct ml_map_event event = {
		.time_ns = LOAD(memory->now_ns),
		.address = result_of(call),
		.length = call->size,
		.tgid = memory->tgid,
		.tid = call->thread->tid,
		.role = role,
	};

	if (!event.address)
		return;
	if (role == ML_ROLE_MREMAP) {
		event.old_address = call->pointer;
		event.old_length = call->old_length;
	}
	if (role != ML_ROLE_MUNMAP && is_size_wanted(memory, call->size))
		event.stack = stack_alone(memory, call) + ML_STACK_ID_NONE;
	tell_map(memory, &event);
}

/* Puts in again what realloc could not resize. */
static bool put_back(struct ml_agent_memory *memory, struct call *call)
{
	struct ml_agent_thread *thread = call->thread;
	uint64_t sp = (uint64_t)(&call->return_address + 1);
	bool is_own = !is_interrupted(thread, sp), is_put;

	if (is_own)
		thread->walker = sp;
	IN_ORDER();
	is_put = put_block(memory, is_own ? thread : NULL, &call->old);
	leave_traces(thread, call);
	return is_put;
}

static void keep_old(struct ml_agent_memory *memory, struct call *call)
{
	if (!call->old.address)
		return;
	if (!put_back(memory, call))
		count(memory, ML_COUNTER_LIVE_TABLE_FULL);
	else if (call->old.stack & ML_AGENT_STACK_SAMPLED)
		add_to_filter(memory, call->old.address);
}

static void settle_old(struct ml_agent_memory *memory, struct call *call, uint64_t address)
{
	if (!address && call->size)
		keep_old(memory, call);
	else if (!call->old.address)
		free_unknown(memory, call->thread, call->pointer);
}

static inline uint32_t ticks_now(const struct ml_agent_memory *memory)
{
	return (uint32_t)((LOAD(memory->now_ns) - memory->start_ns) >> ML_AGENT_TICK_SHIFT);
}

/* Books the new block at @address, of stack @stack; @trace is NULL when it has none. */
__attribute__((noinline)) static uint32_t book(struct ml_agent_memory *memory,
					       const struct call *call, uint64_t address,
					       uint32_t stack, struct ml_agent_trace *trace,
					       bool is_sample)
{
	struct ml_agent_thread *thread = call->thread;
	bool is_own = thread->walker == (uint64_t)(&call->return_address + 1);
	const struct block block = {
		.address = address,
		.size = call->size,
		.stack = is_sample ? stack | ML_AGENT_STACK_SAMPLED : stack,
		.born = ticks_now(memory),
		.tid_number = tid_number(memory, thread),
	};

	if (!put_block(memory, is_own ? thread : NULL, &block)) {
		count(memory, ML_COUNTER_LIVE_TABLE_FULL);
	} else if (is_sample) {
		add_to_filter(memory, address);
		book_sample(memory, stack, block.size);
	} else if (trace) {
		add_local(&trace->allocs, 1);
		add_local(&trace->alloc_bytes, block.size);
	} else {
		book_site(memory, stack, 1, block.size);
	}
	leave_traces(thread, call);
	return 0;
}

__attribute__((noinline)) static uint32_t after_long(struct call *call)
{
	struct ml_agent_memory *memory = memory_of();
	struct ml_agent_thread *thread = call->thread;
	uint32_t role = call->role;
	uint64_t address = call->rax;
	struct ml_agent_trace *trace;

	if (call->is_substituted)
		swap_arguments(call);
	/* A child forked meanwhile has no memory. */
	if (memory)
		thread->call = (uint64_t)call->outer;
	/* The function itself shall say that there is no memory, in its own way and without a frame
	 * of ours. What it may find after all is not seen. */
	if (call->is_substituted && !address) {
		call->target = call->descriptor->trampoline;
		if (!memory)
			return 1;
		count(memory, ML_COUNTER_RETURNS_LOST);
		if (role_resizes(role) && call->pointer)
			settle_old(memory, call, address);
		return 1;
	}
	if (!memory)
		return 0;
	if (UNLIKELY(memory->config.trace_calls)) {
		tell_result(memory, call);
		return 0;
	}
	if (role_maps(role)) {
		map_call_ends(memory, call, role);
		return 0;
	}
	address = result_of(call);
	if (role_resizes(role) && call->pointer)
		settle_old(memory, call, address);
	if (!address || !call->kept || !is_size_wanted(memory, call->size))
		return 0;

	uint32_t stack = stack_of(memory, thread, call, &trace);

	return book(memory, call, address, stack, trace, call->kept == KEPT_AS_SAMPLE);
}

/* 1 when the function that was called is still to be called. */
uint32_t ml_agent_after(struct call *call)
{
	struct ml_agent_memory *memory = memory_of();
	struct ml_agent_trace *trace;
	uint32_t stack;

	if (!call->is_plain || !memory)
		return after_long(call);
	call->thread->call = 0;
	if (!call->rax) {
		keep_old(memory, call);
		return 0;
	}
	stack = stack_of(memory, call->thread, call, &trace);
	return book(memory, call, call->rax, stack, trace, false);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/** The agent's threads and its heartbeat, part of agent.c. */

#define THREAD_PROBES 16u
/* Calls of a thread after which it looks whether the tool lives. */
#define HEARTBEAT_CALLS 16384u
/* Where C libraries keep a thread's tid is looked for in so many bytes behind the pointer. */
#define TID_REACH 1024u

/* Where a filter of system calls would answer otherwise than the kernel, or kill. */
static inline bool may_call(const struct ml_agent_memory *memory, enum ml_agent_call call)
{
	return !(LOAD(memory->header.denied) & call);
}

/* 0 when it cannot be had. */
static uint32_t gettid(const struct ml_agent_memory *memory)
{
	return may_call(memory, ML_AGENT_CALL_GETTID)
		       ? (uint32_t)system_call(SYS_GETTID, 0, 0, 0, 0, 0, 0)
		       : 0;
}

static uint32_t *tid_at(uint64_t pointer, uint32_t offset)
{
	return (uint32_t *)(pointer + offset);
}

static bool is_word_readable(uint64_t address);

/* glibc and musl keep the tid in their struct pthread, other versions elsewhere. Within the
 * pointer's page memory is there, and where the tool has seen one. */
static uint32_t find_tid(const struct ml_agent_memory *memory, uint64_t pointer, uint32_t tid)
{
	uint64_t end = (pointer | (ML_AGENT_PAGE - 1)) + 1;
	uint32_t known = memory->header.tid_offset;

	if (!tid)
		return 0;
	if (known && *tid_at(pointer, known) == tid)
		return known;
	if (pointer + TID_REACH > end && is_word_readable(end))
		end += ML_AGENT_PAGE;
	if (pointer + ML_AGENT_TID_GLIBC + 4 <= end && *tid_at(pointer, ML_AGENT_TID_GLIBC) == tid)
		return ML_AGENT_TID_GLIBC;
	if (pointer + ML_AGENT_TID_MUSL + 4 <= end && *tid_at(pointer, ML_AGENT_TID_MUSL) == tid)
		return ML_AGENT_TID_MUSL;
	if (tid < ML_AGENT_TID_TELLING)
		return 0;
	for (uint32_t i = 16; i < TID_REACH && pointer + i + 4 <= end; i += 4)
		if (*tid_at(pointer, i) == tid)
			return i;
	return 0;
}

static void number_tid(struct ml_agent_memory *memory, struct ml_agent_thread *thread, uint32_t tid)
{
	uint32_t number =
		tid ? __atomic_add_fetch(&memory->tid_count, 1, __ATOMIC_RELAXED) : ML_AGENT_TIDS;

	thread->tid = tid;
	thread->tid_number = number < ML_AGENT_TIDS ? number : 0;
	thread->tid_bits = thread->tid_number << ML_AGENT_SIZE_TID;
	if (thread->tid_number)
		memory->tids[number] = tid;
}

/* Nothing else is mapped within so much below the end of the main thread's stack (MIN_GAP of
 * arch/x86/mm/mmap.c). */
#define MAIN_STACK_REACH (64u << 20)

/* Whether @here, in the caller's frame, is on the main thread's stack. */
static inline bool is_main_stack(const struct ml_agent_memory *memory, uint64_t here)
{
	uint64_t end = memory->header.stack_end;

	return here < end && end - here < MAIN_STACK_REACH;
}

/* The tid of the calling thread, which has no place yet. A new program's main thread has not had
 * one yet when the agent got in. */
static uint32_t new_tid(const struct ml_agent_memory *memory, uint64_t pointer)
{
	uint32_t offset = memory->header.tid_offset;
	uint32_t tid = offset ? *tid_at(pointer, offset) : 0;

	if (!tid && is_main_stack(memory, (uint64_t)__builtin_frame_address(0)))
		tid = memory->header.main_tid;
	return tid ? tid : gettid(memory);
}

static bool claim(struct ml_agent_memory *memory, struct ml_agent_thread *thread, uint64_t old,
		  uint64_t pointer)
{
	uint32_t tid;

	if (!__atomic_compare_exchange_n(&thread->pointer, &old, pointer, false, __ATOMIC_ACQ_REL,
					 __ATOMIC_ACQUIRE))
		return false;
	tid = new_tid(memory, pointer);
	thread->call = 0;
	thread->walker = 0;
	thread->stack.size = 0;
	thread->random = pointer ^ (uint64_t)tid << 32 ^ LOAD(memory->now_ns);
	thread->tid_offset = find_tid(memory, pointer, tid);
	thread->memo = &memory->memos[thread - memory->threads];
	thread->own_key = (uint32_t)(thread - memory->threads) + 1;
	if (!thread->recent_mask)
		thread->recent_mask = 8 * (ML_AGENT_RECENT_FIRST - 1);
	number_tid(memory, thread, tid);
	return true;
}

/* What cannot be asked is alive. */
static bool is_alive(const struct ml_agent_memory *memory, const struct ml_agent_thread *thread)
{
	long pid;

	if (!may_call(memory, ML_AGENT_CALL_TGKILL))
		return true;
	pid = system_call(SYS_GETPID, 0, 0, 0, 0, 0, 0);
	return system_call(SYS_TGKILL, pid, thread->tid, 0, 0, 0, 0) != -ESRCH;
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

	for (uint32_t i = 0; i < THREAD_PROBES; i++) {
		struct ml_agent_thread *thread =
			&memory->threads[(first + i) & (ML_AGENT_THREADS - 1)];
		uint64_t old = LOAD(thread->pointer);

		if (old && is_alive(memory, thread))
			continue;
		if (claim(memory, thread, old, pointer))
			return thread;
	}
	return NULL;
}

static inline uint32_t thread_first(uint64_t pointer)
{
	return (uint32_t)pointer * THREAD_HASH >> THREAD_HASH_SHIFT;
}

/* The calling thread's place; NULL when there is none. */
static struct ml_agent_thread *thread_of(struct ml_agent_memory *memory)
{
	uint64_t pointer = thread_pointer();
	struct ml_agent_thread *thread = &memory->threads[thread_first(pointer)];

	if (LOAD(thread->pointer) == pointer)
		return thread;
	return thread_new(memory, pointer, thread_first(pointer));
}

RARE static void look_at_tid(struct ml_agent_memory *memory, struct ml_agent_thread *thread,
			     uint32_t tid)
{
	uint32_t own = gettid(memory);

	if (own == tid || !own)
		number_tid(memory, thread, tid);
	else
		thread->tid_offset = 0;
}

/* The number of the thread's tid. A new thread may have got the memory of one that ended, and so
 * its pointer. */
static inline uint32_t tid_number(struct ml_agent_memory *memory, struct ml_agent_thread *thread)
{
	if (LIKELY(thread->tid_offset)) {
		uint32_t tid = *tid_at(thread->pointer, thread->tid_offset);

		if (UNLIKELY(tid != thread->tid))
			look_at_tid(memory, thread, tid);
	}
	return thread->tid_number;
}

/* CLOCK_MONOTONIC; 0 when it cannot be had. */
static uint64_t monotonic_ns(const struct ml_agent_memory *memory)
{
	struct {
		long seconds, ns;
	} now;

	if (!may_call(memory, ML_AGENT_CALL_CLOCK_GETTIME) ||
	    system_call(SYS_CLOCK_GETTIME, 1, (long)&now, 0, 0, 0, 0))
		return 0;
	return (uint64_t)now.seconds * 1000000000u + (uint64_t)now.ns;
}

RARE static void check_heartbeat(struct ml_agent_memory *memory)
{
	if (monotonic_ns(memory) > LOAD(memory->now_ns) + ML_AGENT_LAPSE_NS)
		__atomic_store_n(&memory->header.mode, ML_AGENT_LAPSED, __ATOMIC_RELAXED);
}

static void feel_heartbeat(struct ml_agent_memory *memory, struct ml_agent_thread *thread)
{
	add_local(&thread->events, 1);
	if (UNLIKELY(thread->events % HEARTBEAT_CALLS == 0))
		check_heartbeat(memory);
}

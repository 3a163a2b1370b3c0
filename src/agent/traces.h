/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * The stacks the agent numbers and the walks a thread remembers, part of agent.c.
 *
 * A walk is determined by where it starts and by the stack words it read. A trace keeps those
 * words; as long as all of them are unchanged, and the tables are, the walk would give the same
 * stack: an exact cache of whole walks.
 */
#define TRACES_PER_PAGE (ML_AGENT_PAGE / sizeof(struct ml_agent_trace))
/* A trace's words are compared so many at a time; the last one is repeated to fill them up. */
#define WORDS_AT_ONCE 4u

/* ---- stacks -----------------------------------------------------------------------------------
 */

/* A new stack's number, its record written; 0 when there is no room. */
static uint32_t stack_new(struct ml_agent_memory *memory, const uint64_t *ip, uint32_t n,
			  uint32_t end, uint64_t hash)
{
	if (LOAD(memory->stack_count) + 1 >= memory->stack_limit ||
	    LOAD(memory->word_count) + n > ML_AGENT_WORDS)
		return 0;

	uint32_t id = __atomic_add_fetch(&memory->stack_count, 1, __ATOMIC_RELAXED);
	uint64_t first = __atomic_fetch_add(&memory->word_count, n, __ATOMIC_RELAXED);

	if (id >= memory->stack_limit || first + n > ML_AGENT_WORDS)
		return 0;
	for (uint32_t i = 0; i < n; i++)
		memory->words[first + i] = ip[i];
	memory->stacks[id] = (struct ml_agent_stack){
		.hash = hash, .first = (uint32_t)first, .count = (uint16_t)n, .end = (uint16_t)end};
	return id;
}

/* The number of the stack @ip[0…n), made when it is new; 0 when there is no room. */
static uint32_t intern(struct ml_agent_memory *memory, const uint64_t *ip, uint32_t n, uint32_t end)
{
	uint64_t hash = memory->tgid;
	uint32_t fresh = 0;

	for (uint32_t i = 0; i < n; i++) {
		hash = (hash ^ ip[i]) * GOLDEN;
		hash ^= hash >> 29;
	}
	for (uint32_t i = (uint32_t)(hash >> 40);; i++) {
		uint32_t *slot = &memory->stack_index[i & (ML_AGENT_STACK_INDEX - 1)];
		uint32_t id = __atomic_load_n(slot, __ATOMIC_ACQUIRE);

		if (!id && !fresh)
			fresh = stack_new(memory, ip, n, end, hash);
		if (!id && !fresh) {
			count(memory, ML_COUNTER_STACK_TABLE_FULL);
			return 0;
		}
		if (!id && __atomic_compare_exchange_n(slot, &id, fresh, false, __ATOMIC_ACQ_REL,
						       __ATOMIC_ACQUIRE))
			return fresh;
		if (memory->stacks[id].hash == hash)
			return id;
	}
}

static void count_end(struct ml_agent_memory *memory, uint32_t end)
{
	end = ML_AGENT_STACK_END(end);
	if (end == ML_WALK_FAULT)
		count(memory, ML_COUNTER_STACKS_FAULT);
	else if (end == ML_WALK_NO_UNWIND_INFO)
		count(memory, ML_COUNTER_STACKS_NO_UNWIND_INFO);
	else if (end == ML_WALK_DEPTH)
		count(memory, ML_COUNTER_STACKS_DEPTH);
}

/* ---- traces -----------------------------------------------------------------------------------
 */

/* 0 when the word at @sp that @word keeps is what it was. */
static inline uint64_t change_of(uint64_t word, uint64_t sp)
{
	return word >> 16 ^ ((const uint64_t *)sp)[word & 0xffff];
}

static inline bool is_unchanged(const struct ml_agent_thread *thread,
				const struct ml_agent_trace *trace, uint64_t sp, uint64_t bp,
				uint32_t epoch)
{
	const uint64_t *words = thread->memo->words + trace->first;
	uint64_t changes = 0;

	if (trace->epoch != epoch || (trace->uses_bp && trace->bp != bp) ||
	    !is_known_readable(thread, sp, sp + trace->reach))
		return false;
	/* Each word's place follows from those before it, and all of them can be read. */
	for (uint32_t i = 0, n = trace->count; i < n; i += WORDS_AT_ONCE)
		changes |= change_of(words[i], sp) | change_of(words[i + 1], sp) |
			   change_of(words[i + 2], sp) | change_of(words[i + 3], sp);
	return !changes;
}

static inline struct ml_agent_trace *ways_of(const struct ml_agent_thread *thread, uint64_t ip,
					     uint64_t sp)
{
	uint64_t set = (ip ^ sp << 20) * GOLDEN >> 55;

	return &thread->memo->traces[set * ML_AGENT_TRACE_WAYS & (ML_AGENT_TRACES - 1)];
}

/* The trace of the walk from there; NULL when there is none that is still true. */
__attribute__((always_inline)) static inline struct ml_agent_trace *
find_trace(const struct ml_agent_memory *memory, const struct ml_agent_thread *thread, uint64_t ip,
	   uint64_t sp, uint64_t bp)
{
	struct ml_agent_trace *ways = ways_of(thread, ip, sp);
	uint32_t epoch = LOAD(memory->epoch);

	for (uint32_t i = 0; i < ML_AGENT_TRACE_WAYS; i++)
		if (ways[i].ip == ip && ways[i].sp == sp &&
		    is_unchanged(thread, &ways[i], sp, bp, epoch))
			return &ways[i];
	return NULL;
}

/* The thread's traces must all begin anew: their words are used up. */
static void forget_traces(struct ml_agent_memory *memory, struct ml_agent_thread *thread,
			  struct ml_agent_memo *memo)
{
	for (uint32_t i = 0; i < ML_AGENT_TRACES; i++) {
		if (!(thread->trace_pages >> (i / TRACES_PER_PAGE) & 1))
			continue;
		settle_trace(memory, &memo->traces[i]);
		memo->traces[i].ip = 0;
		memo->traces[i].room = 0;
	}
	thread->words_used = 0;
}

/* Makes @trace that of the walk just done. */
static void keep_trace(const struct walk *walk, struct ml_agent_trace *trace,
		       const struct ml_unwind_regs *start, uint32_t epoch, uint32_t stack)
{
	struct ml_agent_memo *memo = walk->memo;
	uint32_t room = (walk->count + 7) & ~7u;

	if (trace->room < walk->count) {
		if (walk->thread->words_used + room > ML_AGENT_TRACE_WORDS)
			forget_traces(walk->memory, walk->thread, memo);
		trace->first = walk->thread->words_used;
		trace->room = (uint16_t)room;
		walk->thread->words_used += room;
	}
	for (uint32_t i = 0; i < walk->count; i++)
		memo->words[trace->first + i] = memo->new_words[i];
	for (trace->count = (uint16_t)walk->count; trace->count % WORDS_AT_ONCE; trace->count++)
		memo->words[trace->first + trace->count] = memo->new_words[walk->count - 1];
	trace->reach = 8 * walk->reach;
	trace->sp = start->sp;
	trace->bp = start->bp;
	trace->uses_bp = walk->uses_bp;
	trace->epoch = epoch;
	trace->stack = stack;
	trace->ip = start->ip;
}

/* Walks from @start; the length of the stack. Code that is met before the tool has told of it is
 * waited for. */
static uint32_t walk_known_code(struct walk *walk, const struct ml_unwind_regs *start,
				uint32_t *epoch, uint32_t *end)
{
	struct ml_unwind_regs *regs = walk->regs;
	struct walk fresh = *walk;
	uint32_t n;

	do {
		*walk = fresh;
		*regs = *start;
		*epoch = LOAD(walk->memory->epoch);
		n = walk_stack(walk, end);
	} while (UNLIKELY(walk->unknown_ip) && is_page_readable(walk->unknown_ip) &&
		 wait_for_code(walk->memory, *epoch));
	return n;
}

/* Walks; @trace is to be made that of the walk, and NULL when it cannot be, or is from the start.
 */
static uint32_t walk_anew(struct ml_agent_memory *memory, struct ml_agent_thread *thread,
			  struct ml_agent_trace **trace, const struct ml_unwind_regs *start)
{
	struct ml_unwind_regs regs;
	struct ml_agent_memo *memo = thread->memo;
	struct walk walk = {
		.memory = memory, .thread = thread, .memo = memo, .regs = &regs, .low = start->sp};
	uint32_t epoch, end, n, stack;

	thread->walks++;
	memo->is_walking = 1;
	IN_ORDER();
	n = walk_known_code(&walk, start, &epoch, &end);
	/* Memory that could not be read may be another time. */
	walk.overflowed |= end == ML_WALK_FAULT;
	end |= walk.has_python ? ML_AGENT_STACK_LOOP : 0;
	stack = intern(memory, memo->ip, n, end);
	count_end(memory, end);
	if (walk.overflowed || !stack)
		*trace = NULL;
	if (*trace) {
		thread->trace_pages |= 1u << ((uint32_t)(*trace - memo->traces) / TRACES_PER_PAGE);
		(*trace)->end = (uint16_t)end;
		keep_trace(&walk, *trace, start, epoch, stack);
	}
	IN_ORDER();
	memo->is_walking = 0;
	return stack;
}

/* True when the thread is at its traces and was interrupted by a signal handler, whose call this
 * is. One that was left by a longjmp was below @sp. */
static bool is_interrupted(struct ml_agent_thread *thread, uint64_t sp)
{
	if (thread->walker && sp > thread->walker && sp - thread->walker < STACK_REACH) {
		thread->walker = 0;
		thread->memo->is_walking = 0;
	}
	return thread->walker;
}

/* Makes the first of @ways free; the last one is forgotten. */
static struct ml_agent_trace *renew_ways(struct ml_agent_memory *memory,
					 struct ml_agent_trace *ways)
{
	struct ml_agent_trace last = ways[ML_AGENT_TRACE_WAYS - 1];

	settle_trace(memory, &ways[ML_AGENT_TRACE_WAYS - 1]);
	for (uint32_t i = ML_AGENT_TRACE_WAYS - 1; i; i--)
		ways[i] = ways[i - 1];
	ways[0] = (struct ml_agent_trace){.first = last.first, .room = last.room};
	return ways;
}

#include "agent/python.h"

/* The number of the stack @call was made from. *@trace gets where to count it, NULL for the site.
 */
static uint32_t stack_of(struct ml_agent_memory *memory, struct ml_agent_thread *thread,
			 const struct call *call, struct ml_agent_trace **trace)
{
	const struct ml_unwind_regs regs = {
		.ip = call->return_address,
		.sp = (uint64_t)(&call->return_address + 1),
		.bp = call->rbp,
		.bx_at =
			ML_UNWIND_LOST, /* not kept at the entry; callers say where they saved it */
		.is_call = 1,
	};
	struct ml_agent_trace *ways = ways_of(thread, regs.ip, regs.sp);
	bool is_free = !is_interrupted(thread, regs.sp);
	uint32_t stack;

	*trace = NULL;
	if (!is_free && thread->memo->is_walking) {
		count(memory, ML_COUNTER_STACKS_LOST);
		return 0;
	}
	if (!is_free)
		return walk_anew(memory, thread, trace, &regs);
	thread->walker = regs.sp;
	IN_ORDER();
	for (uint32_t i = 0; i < ML_AGENT_TRACE_WAYS; i++)
		if (ways[i].ip == regs.ip && ways[i].sp == regs.sp)
			is_readable(thread, regs.sp, regs.sp + ways[i].reach);
	*trace = find_trace(memory, thread, regs.ip, regs.sp, regs.bp);
	if (*trace) {
		stack = (*trace)->stack;
		count_end(memory, (*trace)->end);
	} else {
		*trace = renew_ways(memory, ways);
		stack = walk_anew(memory, thread, trace, &regs);
	}
	if (UNLIKELY(has_python(memory, stack, *trace))) {
		struct ml_agent_trace *with_python = python_trace(memory, thread, stack);

		if (with_python)
			*trace = with_python;
		return with_python ? with_python->stack : stack;
	}
	return stack;
}

/* The caller of stack_of() has counted: traces may be used again. */
static void leave_traces(struct ml_agent_thread *thread, const struct call *call)
{
	IN_ORDER();
	if (thread->walker == (uint64_t)(&call->return_address + 1))
		thread->walker = 0;
}

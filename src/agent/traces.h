/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * The walks a thread remembers, part of agent.c.
 *
 * A walk is determined by where it starts and by the stack words it read. A trace keeps those
 * words; as long as all of them are unchanged, and the tables are, the walk would give the same
 * stack: an exact cache of whole walks.
 */
#define TRACES_PER_PAGE (ML_AGENT_PAGE / sizeof(struct ml_agent_trace))
/* A trace's words are compared so many at a time; the last one is repeated to fill them up. */
#define WORDS_AT_ONCE 4u

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
	for (uint32_t i = 0, n = trace->count; i < n && !changes; i += WORDS_AT_ONCE)
		changes = change_of(words[i], sp) | change_of(words[i + 1], sp) |
			  change_of(words[i + 2], sp) | change_of(words[i + 3], sp);
	return !changes;
}

static inline struct ml_agent_trace *ways_of(const struct ml_agent_thread *thread, uint64_t ip,
					     uint64_t sp)
{
	uint64_t set = (ip ^ sp << 20) * GOLDEN >> WAYS_HASH_SHIFT;

	return &thread->memo->traces[set * ML_AGENT_TRACE_WAYS];
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

/* A signal handler may leave by a longjmp() at any instruction: half a trace must match nothing. */
static void move_trace(struct ml_agent_trace *to, struct ml_agent_trace from)
{
	uint64_t ip = from.ip;

	from.ip = 0;
	to->ip = 0;
	IN_ORDER();
	*to = from;
	IN_ORDER();
	to->ip = ip;
}

/* Makes the first of @ways free; the last one is forgotten. */
static struct ml_agent_trace *renew_ways(struct ml_agent_memory *memory,
					 struct ml_agent_trace *ways)
{
	struct ml_agent_trace last = ways[ML_AGENT_TRACE_WAYS - 1];

	settle_trace(memory, &ways[ML_AGENT_TRACE_WAYS - 1]);
	for (uint32_t i = ML_AGENT_TRACE_WAYS - 1; i; i--)
		move_trace(&ways[i], ways[i - 1]);
	ways[0].ip = 0;
	IN_ORDER();
	ways[0] = (struct ml_agent_trace){.first = last.first, .room = last.room};
	return ways;
}

/* Room for the words of @trace. */
static void make_room(const struct walk *walk, struct ml_agent_trace *trace, uint32_t count)
{
	uint32_t units = (count + ML_AGENT_TRACE_ROOM - 1) / ML_AGENT_TRACE_ROOM;
	uint32_t room = units * ML_AGENT_TRACE_ROOM;

	if (trace->room >= units)
		return;
	if (walk->thread->words_used + room > ML_AGENT_TRACE_WORDS)
		forget_traces(walk->memory, walk->thread, walk->memo);
	trace->first = walk->thread->words_used;
	trace->room = (uint8_t)units;
	walk->thread->words_used += room;
}

/* Packs the words of the course's frames from @first to @end for @trace, innermost first; false for
 * a value that is no address of user space, or one that is too far away. */
static bool pack_words(const struct walk *walk, struct ml_agent_trace *trace, uint32_t first,
		       uint32_t end)
{
	const struct ml_agent_word *words = walk->memo->course.words;
	uint64_t *out = walk->memo->words + trace->first, far = walk->low & 7, reach = 0;

	for (uint32_t i = end; i-- > first;) {
		uint64_t offset = (words[i].address - walk->low) / 8;

		far |= offset >> 16 | words[i].value >> 48;
		reach = offset > reach ? offset : reach;
		*out++ = words[i].value << 16 | offset;
	}
	for (trace->count = (uint16_t)(end - first); trace->count % WORDS_AT_ONCE; trace->count++) {
		*out = out[-1];
		out++;
	}
	trace->reach = 8 * (uint32_t)reach;
	return !far;
}

/* Makes the first of @ways the trace of the walk just done, of @frames frames; NULL when it cannot
 * be. */
__attribute__((noinline)) static struct ml_agent_trace *
keep_trace(const struct walk *walk, struct ml_agent_trace *ways, const struct ml_unwind_regs *start,
	   uint32_t frames)
{
	const struct ml_agent_course *course = &walk->memo->course;
	uint32_t first = frames > walk->depth ? course->frames[frames - walk->depth - 1].words : 0;
	uint32_t end = course->frames[frames - 1].words;
	struct ml_agent_trace *trace;

	if (first == end || end - first > ML_AGENT_TRACE_LIMIT)
		return NULL;
	trace = renew_ways(walk->memory, ways);
	make_room(walk, trace, end - first);
	if (!pack_words(walk, trace, first, end))
		return NULL;
	walk->thread->trace_pages |= 1u
				     << ((uint32_t)(trace - walk->memo->traces) / TRACES_PER_PAGE);
	trace->sp = start->sp;
	trace->bp = start->bp;
	trace->uses_bp = course->frames[frames - 1].flags & ML_AGENT_FRAME_NEEDS_BP;
	trace->epoch = course->epoch;
	trace->stack = course->stack;
	IN_ORDER();
	trace->ip = start->ip;
	return trace;
}

/* Walks from @start. Code that is met before the tool has told of it is waited for. */
static uint32_t walk_known_code(struct walk *walk, const struct ml_unwind_regs *start,
				uint32_t *epoch)
{
	struct walk fresh = *walk;
	uint32_t end;

	do {
		*walk = fresh;
		*walk->regs = *start;
		*epoch = LOAD(walk->memory->epoch);
		end = walk_stack(walk, *epoch);
	} while (UNLIKELY(walk->unknown_ip) && is_page_readable(walk->unknown_ip) &&
		 wait_for_code(walk->memory, *epoch));
	return end;
}

/* Whether the thread was in @stack at @sp before, and did not remember it: one that comes but once
 * is no reason to forget another. */
static bool is_met_again(struct ml_agent_memo *memo, uint32_t stack, uint64_t sp)
{
	uint64_t hash = (stack ^ sp << 20) * GOLDEN;
	uint32_t *miss = &memo->misses[hash >> 32 & (ML_AGENT_MISSES - 1)];
	bool is_met = *miss == (uint32_t)(hash >> 32);

	*miss = (uint32_t)(hash >> 32);
	return is_met;
}

/* Walks and numbers the stack. *@trace gets the first of @ways when the walk is remembered there,
 * else NULL. */
static uint32_t walk_anew(struct ml_agent_memory *memory, struct ml_agent_thread *thread,
			  struct ml_agent_trace *ways, const struct ml_unwind_regs *start,
			  struct ml_agent_trace **trace)
{
	struct ml_unwind_regs regs;
	struct ml_agent_memo *memo = thread->memo;
	uint32_t depth =
		memory->config.depth < ML_STACK_DEPTH ? memory->config.depth : ML_STACK_DEPTH;
	struct walk walk = {.memory = memory,
			    .thread = thread,
			    .memo = memo,
			    .regs = &regs,
			    .low = start->sp,
			    .depth = depth,
			    .limit = depth + ML_AGENT_FRAMES - 1 - ML_STACK_DEPTH};
	uint32_t epoch, count, end, stack;

	thread->walks++;
	memo->is_walking = 1;
	IN_ORDER();
	end = walk_known_code(&walk, start, &epoch);
	/* Memory that could not be read may be another time. */
	walk.overflowed |= end == ML_WALK_FAULT;
	stack = number_stack(&walk, &count, &end);
	memo->course.epoch = epoch;
	count_end(memory, end);
	*trace = NULL;
	if (!walk.overflowed && stack && ways && is_met_again(memo, stack, start->sp))
		*trace = keep_trace(&walk, ways, start, count);
	if (*trace)
		(*trace)->end =
			(uint16_t)(stack < ML_AGENT_KEY_STACKS ? end : end | ML_AGENT_STACK_LATE);
	IN_ORDER();
	memo->course.count = walk.overflowed ? 0 : count;
	IN_ORDER();
	memo->is_walking = 0;
	return stack;
}

/* True when the thread is at its traces and was interrupted by a signal handler, whose call this
 * is. One that was left by a longjmp was below @sp, or there. */
static bool is_interrupted(struct ml_agent_thread *thread, uint64_t sp)
{
	if (thread->walker && sp >= thread->walker && sp - thread->walker < STACK_REACH) {
		thread->walker = 0;
		thread->memo->is_walking = 0;
	}
	return thread->walker;
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
	bool is_free = !is_interrupted(thread, regs.sp), is_missed = call->is_plain == CALL_MISSED;
	uint32_t stack;

	*trace = NULL;
	if (!is_free && thread->memo->is_walking) {
		count(memory, ML_COUNTER_STACKS_LOST);
		return 0;
	}
	if (!is_free)
		return walk_anew(memory, thread, NULL, &regs, trace);
	thread->walker = regs.sp;
	IN_ORDER();
	for (uint32_t i = 0; i < ML_AGENT_TRACE_WAYS && !is_missed; i++)
		if (ways[i].ip == regs.ip && ways[i].sp == regs.sp)
			is_readable(thread, regs.sp, regs.sp + ways[i].reach);
	if (!is_missed)
		*trace = find_trace(memory, thread, regs.ip, regs.sp, regs.bp);
	if (*trace) {
		stack = (*trace)->stack;
		count_end(memory, (*trace)->end);
	} else {
		stack = walk_anew(memory, thread, ways, &regs, trace);
	}
	if (UNLIKELY(has_python(memory, stack, *trace))) {
		struct ml_agent_trace *with_python = python_trace(memory, thread, stack, *trace);

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

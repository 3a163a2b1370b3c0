/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * The agent's stack walk, part of agent.c: by the rows the walker in the kernel uses, behind an
 * exact cache of whole walks.
 *
 * A walk is determined by where it starts and by the stack words it read. A trace keeps those
 * words; as long as all of them are unchanged, and the tables are, the walk would give the same
 * stack. A saved rbp counts only once a later frame's rule needs it.
 */
struct walk {
	struct ml_agent_thread *thread;
	struct ml_agent_trace *trace;
	struct ml_unwind_regs *regs;
	uint64_t low; /* where it began */
	struct ml_agent_word last[3];
	uint32_t last_count; /* words the step in progress has read */
	bool overflowed;
};

/* Asks the kernel whether the next pages up to @address can be read; it may be a wild one. */
RARE static bool grow_readable(struct ml_agent_thread *thread, uint64_t sp, uint64_t address)
{
	if (sp < thread->stack_low || sp > thread->stack_high) {
		thread->stack_low = sp & ~(uint64_t)(ML_AGENT_PAGE - 1);
		thread->stack_high = thread->stack_low + ML_AGENT_PAGE;
	}
	if (address < sp || address - sp > (64u << 20))
		return false;
	while (address + 8 > thread->stack_high) {
		uint64_t word;
		struct {
			uint64_t base, length;
		} local = {(uint64_t)&word, 8}, remote = {thread->stack_high, 8};
		long pid = system_call(SYS_GETPID, 0, 0, 0, 0, 0, 0);

		if (system_call(SYS_PROCESS_VM_READV, pid, (long)&local, 1, (long)&remote, 1, 0) !=
		    8)
			return false;
		thread->stack_high += ML_AGENT_PAGE;
	}
	return true;
}

static inline bool is_readable(struct ml_agent_thread *thread, uint64_t sp, uint64_t address)
{
	if (LIKELY(sp >= thread->stack_low && address >= sp && address + 8 <= thread->stack_high))
		return true;
	return grow_readable(thread, sp, address);
}

static inline int read_word(void *memory, uint64_t address, uint64_t *out)
{
	struct walk *walk = memory;

	if ((address & 7) || !is_readable(walk->thread, walk->low, address))
		return 1;
	*out = *(const uint64_t *)address;
	if (walk->last_count < 3)
		walk->last[walk->last_count++] = (struct ml_agent_word){address, *out};
	return 0;
}

#define ML_UNWIND_READ(memory, address, out) read_word(memory, address, out)
#include "shared/unwind_step.h"

static const struct ml_process_map *find_map(const struct ml_agent_memory *memory, uint64_t ip)
{
	const struct ml_process_maps *maps = &memory->maps[LOAD(memory->maps_current) & 1];
	uint32_t low = 0, high = maps->count;

	if (high > ML_PROCESS_MAPS)
		high = ML_PROCESS_MAPS;
	while (low < high) {
		uint32_t middle = (low + high) >> 1;
		const struct ml_process_map *map = &maps->map[middle];

		if (ip < map->start)
			high = middle;
		else if (ip >= map->end)
			low = middle + 1;
		else
			return map;
	}
	return NULL;
}

static struct ml_unwind_row row_at(const struct ml_agent_memory *memory,
				   const struct ml_process_map *map, uint64_t ip)
{
	union {
		uint64_t word;
		struct ml_unwind_row row;
	} found = {.word = 0};
	uint32_t pc = (uint32_t)(ip - map->bias);
	uint32_t page = (pc >> ML_UNWIND_PAGE_SHIFT) - map->page_base;

	if (page >= map->page_count || map->page_first + page >= ML_AGENT_ROW_PAGES)
		return found.row;

	uint64_t range = memory->row_pages[map->page_first + page];
	uint32_t low = (uint32_t)range - 1, high = (uint32_t)(range >> 32);

	if (low >= ML_AGENT_ROWS || high > ML_AGENT_ROWS)
		return found.row;
	while (low + 1 < high) {
		uint32_t middle = (low + high) >> 1;

		if ((uint32_t)memory->rows[middle] <= pc)
			low = middle;
		else
			high = middle;
	}
	found.word = memory->rows[low];
	return found.row;
}

static void depend(struct walk *walk, struct ml_agent_word word)
{
	if (!walk->trace || walk->trace->count == ML_AGENT_TRACE_WORDS)
		walk->overflowed = true;
	else
		walk->trace->words[walk->trace->count++] = word;
}

/* Whether a step by @row looks at rbp, and whether one of the words it reads is the saved rbp. */
static bool uses_bp(struct ml_unwind_row row)
{
	uint32_t rule = row.rules & 15;

	return rule == ML_CFA_RBP || rule == ML_CFA_DEREF_RBP || rule == ML_CFA_NONE ||
	       row.rules >> 4 == ML_RBP_RBP;
}

/* The stack of the walk in the thread's ip[], its length; *@end says why it ended. */
static uint32_t walk_stack(const struct ml_agent_memory *memory, struct walk *walk, uint32_t *end)
{
	const struct ml_process_map *map = NULL;
	struct ml_unwind_regs *regs = walk->regs;
	struct ml_agent_word saved = {0, 0};
	uint32_t n = 0, depth = memory->config.depth;
	bool is_first_bp = true;

	for (*end = ML_WALK_MORE; *end == ML_WALK_MORE;) {
		uint64_t at = regs->ip - regs->is_call;
		struct ml_unwind_row row = {.rules = ML_CFA_NONE};

		if (n == depth || n == ML_STACK_DEPTH) {
			*end = ML_WALK_DEPTH;
			break;
		}
		walk->thread->ip[n++] =
			regs->is_call ? regs->ip : regs->ip | ML_STACK_IP_INTERRUPTED;
		if (!map || at < map->start || at >= map->end)
			map = find_map(memory, at);
		if (map && map->page_count)
			row = row_at(memory, map, at);

		uint32_t rule = row.rules & 15, bp_rule = row.rules >> 4;

		if (uses_bp(row) && is_first_bp && walk->trace)
			walk->trace->uses_bp = 1;
		if (uses_bp(row) && saved.address) {
			depend(walk, saved);
			saved.address = 0;
		}
		walk->last_count = 0;
		*end = ml_unwind_by_row(row, regs, walk);
		for (uint32_t i = 0; i < walk->last_count; i++) {
			bool is_bp = rule == ML_CFA_SIGNAL || rule == ML_CFA_NONE
					     ? i == 0
					     : (bp_rule == ML_RBP_CFA || bp_rule == ML_RBP_RBP) &&
						       i == (rule == ML_CFA_DEREF_RBP ||
							     rule == ML_CFA_DEREF_RSP);
			if (!is_bp) {
				depend(walk, walk->last[i]);
				continue;
			}
			saved = walk->last[i];
			is_first_bp = false;
		}
	}
	return n;
}

/* The number of the stack ip[0…n), made when it is new; 0 when there is no room. */
static uint32_t intern(struct ml_agent_memory *memory, const uint64_t *ip, uint32_t n, uint32_t end)
{
	uint64_t hash = memory->tgid;

	for (uint32_t i = 0; i < n; i++) {
		hash = (hash ^ ip[i]) * GOLDEN;
		hash ^= hash >> 29;
	}
	hash |= 1;
	for (uint32_t k = 0, i = (uint32_t)(hash >> 40); k < 64; k++, i++) {
		uint32_t id = i & (ML_AGENT_STACKS - 1);
		struct ml_agent_stack *stack = &memory->stacks[id];
		uint64_t there = LOAD(stack->hash);

		if (!id)
			continue;
		if (!there) {
			if (LOAD(memory->stack_count) >= memory->stack_limit ||
			    LOAD(memory->word_count) + n > ML_AGENT_WORDS)
				break;
			if (__atomic_compare_exchange_n(&stack->hash, &there, hash, false,
							__ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
				uint64_t first = __atomic_fetch_add(&memory->word_count, n,
								    __ATOMIC_RELAXED);

				ADD(memory->stack_count, 1);
				if (first + n > ML_AGENT_WORDS)
					break;
				for (uint32_t j = 0; j < n; j++)
					memory->words[first + j] = ip[j];
				stack->first = (uint32_t)first;
				stack->end = (uint16_t)end;
				__atomic_store_n(&stack->count, (uint16_t)n, __ATOMIC_RELEASE);
				return id;
			}
		}
		if (there == hash)
			return id;
	}
	count(memory, ML_COUNTER_STACK_TABLE_FULL);
	return 0;
}

static inline bool is_unchanged(struct ml_agent_thread *thread, const struct ml_agent_trace *trace,
				uint64_t ip, uint64_t sp, uint64_t bp, uint32_t epoch)
{
	if (trace->ip != ip || trace->sp != sp || trace->epoch != epoch ||
	    (trace->uses_bp && trace->bp != bp))
		return false;
	/* In order: each word's place follows from those before it. */
	for (uint32_t i = 0; i < trace->count; i++) {
		const struct ml_agent_word *word = &trace->words[i];

		if (!is_readable(thread, sp, word->address) ||
		    *(const uint64_t *)word->address != word->value)
			return false;
	}
	return true;
}

static void count_end(struct ml_agent_memory *memory, uint32_t end)
{
	if (end == ML_WALK_FAULT)
		count(memory, ML_COUNTER_STACKS_FAULT);
	else if (end == ML_WALK_NO_UNWIND_INFO)
		count(memory, ML_COUNTER_STACKS_NO_UNWIND_INFO);
	else if (end == ML_WALK_DEPTH)
		count(memory, ML_COUNTER_STACKS_DEPTH);
}

RARE static uint32_t walk_anew(struct ml_agent_memory *memory, struct ml_agent_thread *thread,
			       struct ml_agent_trace *trace, struct ml_unwind_regs regs,
			       uint32_t epoch)
{
	struct walk walk = {.thread = thread, .trace = trace, .regs = &regs, .low = regs.sp};
	uint64_t ip = regs.ip, sp = regs.sp, bp = regs.bp;
	uint32_t end, n;

	thread->traces_missed++;
	trace->ip = 0;
	trace->count = trace->uses_bp = 0;
	n = walk_stack(memory, &walk, &end);
	trace->stack = intern(memory, thread->ip, n, end);
	if (walk.overflowed || end != ML_WALK_COMPLETE || !trace->stack) {
		count_end(memory, end);
		return trace->stack;
	}
	trace->sp = sp;
	trace->bp = bp;
	trace->epoch = epoch;
	trace->ip = ip;
	return trace->stack;
}

/* The number of the stack @call was made from. */
static uint32_t stack_of(struct ml_agent_memory *memory, struct ml_agent_thread *thread,
			 const struct call *call)
{
	struct ml_unwind_regs regs = {
		.ip = call->return_address,
		.sp = (uint64_t)(&call->return_address + 1),
		.bp = call->rbp,
		.is_call = 1,
	};
	uint32_t epoch = LOAD(memory->epoch);
	uint32_t set = (uint32_t)(((regs.ip ^ regs.sp << 20) * GOLDEN) >> 57) & ~1u;
	struct ml_agent_trace *pair = &thread->traces[set & (ML_AGENT_TRACES - 1)];

	/* A signal handler that interrupted a walk of this thread. */
	if (UNLIKELY(thread->is_walking)) {
		count(memory, ML_COUNTER_STACK_TABLE_FULL);
		return 0;
	}
	for (uint32_t i = 0; i < 2; i++) {
		if (!is_unchanged(thread, &pair[i], regs.ip, regs.sp, regs.bp, epoch))
			continue;
		thread->traces_hit++;
		return pair[i].stack;
	}
	thread->is_walking = 1;
	__asm__ volatile("" : : : "memory");

	uint32_t stack = walk_anew(memory, thread, &pair[thread->traces_missed & 1], regs, epoch);

	__asm__ volatile("" : : : "memory");
	thread->is_walking = 0;
	return stack;
}

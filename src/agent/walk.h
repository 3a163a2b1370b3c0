/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * The agent's stack walk, part of agent.c: by the rows the walker in the kernel uses. It
 * notes every stack word that it depends on. A saved rbp counts only once a later frame's rule
 * needs it.
 */
struct word {
	uint64_t address;
	uint64_t value;
};

struct walk {
	struct ml_agent_memory *memory;
	struct ml_agent_thread *thread;
	struct ml_agent_memo *memo;
	struct ml_unwind_regs *regs;
	uint64_t low; /* where it began */
	struct word last[5];
	uint32_t last_count; /* words the step in progress has read */
	uint32_t count;      /* of the memo's new words */
	uint32_t reach;      /* the furthest one's distance in words */
	bool uses_bp;        /* the rbp it began with */
	bool overflowed;
	uint64_t unknown_ip; /* in code that the tool has not told of */
	bool has_python;     /* it came through an eval loop */
	bool has_left;       /* the stack it began on, for one that may lie anywhere */
	uint64_t page;       /* of that, known to be readable */
};

/* ---- readable stack memory --------------------------------------------------------------------
 */

#define PAGE_MASK ((uint64_t)(ML_AGENT_PAGE - 1))
#define NO_PAGE   1u
/* A stack grows down: so far below the known part it still is the same one. */
#define STACK_GROWTH (256u << 10)
#define STACK_REACH  (64u << 20)
/* A signal frame and what the kernel leaves free above it (the red zone, the room of the extended
 * registers, 11 KiB with AMX) are less. */
#define SIGNAL_REACH (16u << 10)

/* FUTEX_CMP_REQUEUE, private. */
#define COMPARE_AND_REQUEUE (4 | 128)

/* Where no system call may be made: the main thread's stack, by one who runs on it. It is readable
 * from there to its end, and nothing else is mapped within so much below it (MIN_GAP of
 * arch/x86/mm/mmap.c). */
static bool is_on_main_stack(const struct ml_agent_memory *memory, uint64_t address)
{
	uint64_t here = (uint64_t)__builtin_frame_address(0), end = LOAD(memory->header.stack_end);

	return here < end && end - here < STACK_REACH && address >= here && address < end;
}

RARE static bool is_word_readable_otherwise(const struct ml_agent_memory *memory, uint64_t address)
{
	long result;

	if (!may_call(memory, ML_AGENT_CALL_FUTEX))
		return is_on_main_stack(memory, address);
	/* Wakes and moves nobody; it only compares the word (futex_requeue() in the kernel). */
	result = system_call(SYS_FUTEX, (long)(address & ~7ull), COMPARE_AND_REQUEUE, 0, 0,
			     (long)(address & ~7ull), 0);
	return result >= 0 || result == -EAGAIN;
}

/*
 * Whether the word that @address is in can be read. A system call with nothing to do fails in one
 * way when it cannot read the word (EFAULT), and in another when it can (EINVAL, for there is no
 * such `how`; sys_rt_sigprocmask() in kernel/signal.c). Nearly all sandboxes let this call pass.
 */
static bool is_word_readable(uint64_t address)
{
	const struct ml_agent_memory *memory = memory_of();

	if (!memory || UNLIKELY(!may_call(memory, ML_AGENT_CALL_RT_SIGPROCMASK)))
		return memory && is_word_readable_otherwise(memory, address);
	return system_call(SYS_RT_SIGPROCMASK, -1, (long)(address & ~7ull), 0, 8, 0, 0) == -EINVAL;
}

/* Reads memory that may not be there, but that does not vanish while it is read; no more than a
 * page of it. */
RARE static bool read_safely(uint64_t address, void *buffer, uint64_t size)
{
	if (!is_word_readable(address) || !is_word_readable(address + size - 1))
		return false;
	memcpy(buffer, (const void *)address, size);
	return true;
}

static bool is_page_readable(uint64_t address)
{
	return is_word_readable(address);
}

/* Takes the known part around @sp out of those of other stacks, and keeps the present one. */
static bool change_stack(struct ml_agent_thread *thread, uint64_t sp)
{
	struct ml_agent_memo *memo = thread->memo;

	for (uint32_t i = 0; i < ML_AGENT_OTHER_STACKS; i++) {
		struct ml_agent_range found = memo->other_stacks[i];

		if (sp - found.start >= found.size)
			continue;
		memo->other_stacks[i] = thread->stack;
		thread->stack = found;
		return true;
	}
	return false;
}

/* Makes the page of @sp known, which is in use, with what was known above it. */
static void begin_stack(struct ml_agent_thread *thread, uint64_t sp)
{
	uint64_t page = sp & ~PAGE_MASK, at = page + ML_AGENT_PAGE;

	if (thread->stack.size && page < thread->stack.start &&
	    thread->stack.start - page <= STACK_GROWTH) {
		while (at < thread->stack.start && is_page_readable(at))
			at += ML_AGENT_PAGE;
		if (at == thread->stack.start) {
			thread->stack.size += thread->stack.start - page;
			thread->stack.start = page;
			return;
		}
	}
	if (change_stack(thread, sp))
		return;
	thread->memo->other_stacks[thread->walks % ML_AGENT_OTHER_STACKS] = thread->stack;
	thread->stack = (struct ml_agent_range){page, ML_AGENT_PAGE};
}

/* Asks the kernel whether the next pages up to @address can be read; it may be a wild one. */
RARE static bool grow_readable(struct ml_agent_thread *thread, uint64_t sp, uint64_t address)
{
	if (sp - thread->stack.start >= thread->stack.size)
		begin_stack(thread, sp);
	if (address < sp || address - sp > STACK_REACH)
		return false;
	while (address + 8 > thread->stack.start + thread->stack.size) {
		if (!is_page_readable(thread->stack.start + thread->stack.size))
			return false;
		thread->stack.size += ML_AGENT_PAGE;
	}
	return true;
}

static inline bool is_known_readable(const struct ml_agent_thread *thread, uint64_t sp,
				     uint64_t address)
{
	const struct ml_agent_range *stack = &thread->stack;

	return sp >= stack->start && address >= sp && address + 8 <= stack->start + stack->size;
}

/* Whether the word at @address, at or above @sp, can be read. */
static inline bool is_readable(struct ml_agent_thread *thread, uint64_t sp, uint64_t address)
{
	return is_known_readable(thread, sp, address) || grow_readable(thread, sp, address);
}

/* ---- rows -------------------------------------------------------------------------------------
 */

/* Another stack than the one the walk began on, which is in use: its pages stay. */
RARE static bool is_readable_elsewhere(struct walk *walk, uint64_t address)
{
	uint64_t page = address & ~PAGE_MASK;

	if (walk->page != page && !is_word_readable(address))
		return false;
	walk->page = page;
	return true;
}

static inline int read_word(void *memory, uint64_t address, uint64_t *out)
{
	struct walk *walk = memory;

	if ((address & 7) ||
	    !(UNLIKELY(walk->has_left) ? is_readable_elsewhere(walk, address)
				       : is_readable(walk->thread, walk->low, address)))
		return 1;
	*out = *(const uint64_t *)address;
	if (walk->last_count < sizeof(walk->last) / sizeof(*walk->last))
		walk->last[walk->last_count++] = (struct word){address, *out};
	return 0;
}

#define ML_UNWIND_READ(memory, address, out) read_word(memory, address, out)
#include "shared/unwind_step.h"

#define ML_JAVA_READ(memory, buffer, size, address)                                                \
	((void)(memory), !read_safely(address, buffer, size))
#include "shared/java_step.h"

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

/* The row in effect at @ip, out of a cache of all threads: its two words are not written at once,
 * but only when they belong together do they give @ip. */
static struct ml_unwind_row cached_row(struct walk *walk, const struct ml_process_map **map,
				       uint64_t ip)
{
	struct ml_agent_memory *memory = walk->memory;
	uint32_t epoch = LOAD(memory->epoch);
	struct ml_agent_cached_row *cached =
		&memory->row_cache[ip * GOLDEN >> 50 & (ML_AGENT_ROW_CACHE - 1)];
	uint64_t asked = ip ^ (uint64_t)epoch << 48;
	union {
		uint64_t word;
		struct ml_unwind_row row;
	} found = {.word = LOAD(cached->row)};

	if (LIKELY((LOAD(cached->check) ^ found.word) == asked))
		return found.row;
	if (!*map || ip < (*map)->start || ip >= (*map)->end)
		*map = find_map(memory, ip);
	found.row = (struct ml_unwind_row){.rules = ML_CFA_NONE};
	if (!*map) {
		walk->unknown_ip = ip;
		return found.row;
	}
	if ((*map)->page_count)
		found.row = row_at(memory, *map, ip);
	__atomic_store_n(&cached->row, found.word, __ATOMIC_RELAXED);
	__atomic_store_n(&cached->check, asked ^ found.word, __ATOMIC_RELAXED);
	return found.row;
}

/* ---- walks ------------------------------------------------------------------------------------
 */

/* A value that is no address of user space, or too far away, cannot be packed. */
static void depend(struct walk *walk, struct word word)
{
	uint64_t offset = (word.address - walk->low) / 8;

	if (walk->count == ML_AGENT_TRACE_LIMIT || offset > UINT16_MAX || word.value >> 48 ||
	    walk->low & 7) {
		walk->overflowed = true;
		return;
	}
	if (offset > walk->reach)
		walk->reach = (uint32_t)offset;
	walk->memo->new_words[walk->count++] = word.value << 16 | offset;
}

/* Whether a step by @row looks at rbp, and whether one of the words it reads is the saved rbp. */
static bool uses_bp(struct ml_unwind_row row)
{
	uint32_t rule = ML_ROW_CFA(row.rules);

	return rule == ML_CFA_RBP || rule == ML_CFA_DEREF_RBP || rule == ML_CFA_NONE ||
	       ML_ROW_RBP(row.rules) == ML_RBP_RBP;
}

/* Which of the words read by a step by @row is the saved rbp; -1: none. */
static int saved_bp_of(struct ml_unwind_row row)
{
	uint32_t rule = ML_ROW_CFA(row.rules), bp_rule = ML_ROW_RBP(row.rules);

	if (rule == ML_CFA_SIGNAL || rule == ML_CFA_NONE)
		return 0;
	if (bp_rule != ML_RBP_CFA && bp_rule != ML_RBP_RBP)
		return -1;
	return rule == ML_CFA_DEREF_RBP || rule == ML_CFA_DEREF_RSP || rule == ML_CFA_RBX;
}

/* From here on on a stack that may lie anywhere: what the walk depends on then has no place
 * relative to where it began. */
static void leave_stack(struct walk *walk)
{
	walk->has_left = walk->overflowed = true;
	walk->page = NO_PAGE;
}

/* A signal handler may run on a stack of its own (sigaltstack); what it interrupted is on another,
 * wherever that lies. @sp is where the signal frame is. */
static inline bool leaves_by_signal(struct ml_unwind_row row, uint64_t sp, uint64_t interrupted_sp)
{
	return UNLIKELY(ML_ROW_CFA(row.rules) == ML_CFA_SIGNAL) &&
	       interrupted_sp - sp > SIGNAL_REACH;
}

/* A step through HotSpot's code. Of the words it reads the last but one is the saved rbp. What it
 * reads of HotSpot's structures stays as it is while there are frames of that code. */
RARE static uint32_t step_java(struct walk *walk, const struct ml_java_layout *java,
			       struct word *saved, bool *is_first_bp, uint64_t *entry)
{
	struct ml_java_step step = {.regs = *walk->regs, .entry = *entry};
	uint32_t end;

	walk->last_count = 0;
	end = ml_java_step(java, &step, walk);
	*walk->regs = step.regs;
	*entry = step.entry;
	if (!(step.entry & ML_STACK_JAVA_COMPILED)) {
		walk->uses_bp |= *is_first_bp;
		if (saved->address)
			depend(walk, *saved);
		saved->address = 0;
	}
	for (uint32_t i = 0; i < walk->last_count; i++) {
		if (i + 2 != walk->last_count) {
			depend(walk, walk->last[i]);
			continue;
		}
		*saved = walk->last[i];
		*is_first_bp = false;
	}
	if (end != ML_WALK_MORE)
		walk->overflowed = true;
	return end;
}

/* The stack of the walk in the memo's ip[], its length; *@end says why it ended. */
static uint32_t walk_stack(struct walk *walk, uint32_t *end)
{
	const struct ml_process_maps *maps =
		&walk->memory->maps[LOAD(walk->memory->maps_current) & 1];
	const struct ml_java_layout *java = &maps->java;
	const struct ml_python_layout *python = &maps->python;
	const struct ml_process_map *map = NULL;
	struct ml_unwind_regs *regs = walk->regs;
	struct word saved = {0, 0};
	uint32_t n = 0, depth = walk->memory->config.depth;
	bool is_first_bp = true;

	for (*end = ML_WALK_MORE; *end == ML_WALK_MORE;) {
		if (n == depth || n == ML_STACK_DEPTH) {
			*end = ML_WALK_DEPTH;
			break;
		}
		walk->memo->ip[n++] = regs->is_call ? regs->ip : regs->ip | ML_STACK_IP_INTERRUPTED;
		walk->has_python |=
			regs->ip - python->loop_start <= python->loop_end - python->loop_start;

		if (UNLIKELY(ml_java_has(java, regs->ip - regs->is_call))) {
			*end = step_java(walk, java, &saved, &is_first_bp, &walk->memo->ip[n - 1]);
			continue;
		}

		struct ml_unwind_row row = cached_row(walk, &map, regs->ip - regs->is_call);
		int saved_bp = saved_bp_of(row);

		if (uses_bp(row) && is_first_bp)
			walk->uses_bp = true;
		if (uses_bp(row) && saved.address) {
			depend(walk, saved);
			saved.address = 0;
		}
		/* What it depends on then has no place relative to where it began. */
		if (UNLIKELY(ML_ROW_CFA(row.rules) == ML_CFA_GO_STACK))
			leave_stack(walk);
		walk->last_count = 0;

		uint64_t sp = regs->sp;

		*end = ml_unwind_by_row(row, regs, walk);
		if (leaves_by_signal(row, sp, regs->sp))
			leave_stack(walk);
		for (uint32_t i = 0; i < walk->last_count; i++) {
			if ((int)i != saved_bp) {
				depend(walk, walk->last[i]);
				continue;
			}
			saved = walk->last[i];
			is_first_bp = false;
		}
		/* Lost: what it was before does not matter any more. */
		if (ML_ROW_RBP(row.rules) == ML_RBP_UNDEF)
			saved.address = 0;
	}
	/* What is beyond such an end may be an eval loop. */
	walk->has_python |= *end != ML_WALK_COMPLETE;
	walk->has_python &= python->main_interpreter != 0;
	return n;
}

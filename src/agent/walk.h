/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * The agent's stack walk, part of agent.c: by the rows the walker in the kernel uses. It
 * notes every stack word that it depends on, and ends where it comes to a frame of the thread's
 * last walk from which on nothing has changed. A saved rbp counts only once a later frame's rule
 * needs it.
 */
struct walk {
	struct ml_agent_memory *memory;
	struct ml_agent_thread *thread;
	struct ml_agent_memo *memo;
	struct ml_unwind_regs *regs;
	uint64_t low;           /* where it began */
	uint32_t count;         /* of the memo's new frames */
	uint32_t words;         /* of the memo's new words */
	uint32_t depth;         /* frames that are kept of it, */
	uint32_t limit;         /* and that it goes through */
	uint32_t joint;         /* frames of the last walk that it may come to, or came to */
	uint32_t unchanged;     /* words of that which are what they were, … */
	uint32_t compared_from; /* … for the frames from there on */
	uint32_t bp_frame;      /* which new one has saved the rbp in use, + 1; 0: none has */
	uint32_t bp_known;      /* new frames whose need of rbp is known */
	bool is_compared;
	bool is_joined;
	bool overflowed;     /* its words are not all there */
	bool has_left;       /* the stack it began on, for one that may lie anywhere */
	uint64_t page;       /* of that, known to be readable */
	uint64_t unknown_ip; /* in code that the tool has not told of */
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

/* The main thread's stack, for one who runs on it, is readable from there to its end. That needs no
 * system call, which a program that has just got itself a filter might be killed for. */
static bool is_on_main_stack(const struct ml_agent_memory *memory, uint64_t address)
{
	uint64_t here = (uint64_t)__builtin_frame_address(0);

	return is_main_stack(memory, here) && address >= here && address < memory->header.stack_end;
}

/* Where there is a filter. The call wakes and moves nobody, it only compares the word
 * (futex_requeue() in the kernel). */
RARE static bool is_word_readable_otherwise(const struct ml_agent_memory *memory, uint64_t address)
{
	long word = (long)(address & ~7ull), result;

	if (!may_call(memory, ML_AGENT_CALL_FUTEX))
		return false;
	result = system_call(SYS_FUTEX, word, COMPARE_AND_REQUEUE, 0, 0, word, 0);
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

	if (!memory)
		return false;
	if (is_on_main_stack(memory, address))
		return true;
	if (UNLIKELY(!may_call(memory, ML_AGENT_CALL_RT_SIGPROCMASK)))
		return is_word_readable_otherwise(memory, address);
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

__attribute__((noinline)) static int read_word(void *memory, uint64_t address, uint64_t *out)
{
	struct walk *walk = memory;

	if ((address & 7) ||
	    !(UNLIKELY(walk->has_left) ? is_readable_elsewhere(walk, address)
				       : is_readable(walk->thread, walk->low, address)))
		return 1;
	*out = *(const uint64_t *)address;
	walk->memo->new_words[walk->words++] = (struct ml_agent_word){address, *out};
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

__attribute__((noinline)) static struct ml_unwind_row
row_at(const struct ml_agent_memory *memory, const struct ml_process_map *map, uint64_t ip)
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
		&memory->row_cache[ip * GOLDEN >> 48 & (ML_AGENT_ROW_CACHE - 1)];
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
		if (walk->count <= walk->depth)
			walk->unknown_ip = ip;
		return found.row;
	}
	if ((*map)->page_count)
		found.row = row_at(memory, *map, ip);
	__atomic_store_n(&cached->row, found.word, __ATOMIC_RELAXED);
	__atomic_store_n(&cached->check, asked ^ found.word, __ATOMIC_RELAXED);
	return found.row;
}

/* ---- what a walk depends on -------------------------------------------------------------------
 */

/* A step reads fewer. */
#define STEP_WORDS 16u

/* The frame that the walk is in, and the ones before it since rbp was loaded, need what it is. */
__attribute__((noinline)) static void use_bp(struct walk *walk)
{
	struct ml_agent_frame *frames = walk->memo->new_frames;

	for (uint32_t i = walk->bp_known; i < walk->count; i++)
		frames[i].flags |= ML_AGENT_FRAME_NEEDS_BP;
	walk->bp_known = walk->count;
	if (walk->bp_frame)
		frames[walk->bp_frame - 1].flags |= ML_AGENT_FRAME_KEEPS_BP;
}

/* Word @which of those that the last step has read is the saved rbp; it becomes the last one. */
static inline void load_bp(struct walk *walk, struct ml_agent_frame *frame, int which)
{
	struct ml_agent_word *words = walk->memo->new_words, saved;

	if (frame->words + (uint32_t)which >= walk->words)
		return;
	saved = words[frame->words + (uint32_t)which];
	words[frame->words + (uint32_t)which] = words[walk->words - 1];
	words[walk->words - 1] = saved;
	frame->flags |= ML_AGENT_FRAME_SAVED_BP;
	walk->bp_frame = walk->bp_known = walk->count;
}

/* What is saved of rbx is not kept. */
RARE static void use_bx(struct walk *walk)
{
	for (uint32_t i = 0; i < walk->count; i++)
		walk->memo->new_frames[i].flags |= ML_AGENT_FRAME_NEEDS_BX;
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

/* ---- the last walk's frames -------------------------------------------------------------------
 *
 * Most of a stack is what it was at the thread's last walk. A walk that comes to a frame of that
 * with the same registers goes on as that did when the words it then read are unchanged: these are
 * compared, which is much quicker than steps. Frames beyond the depth that is kept are walked, too,
 * or each stack of a deep recursion would have to be walked whole.
 */

/* Frames that are compared beyond those that are kept: walks that come to other frames need these.
 */
#define COMPARED_BEYOND 16u

/* 0 when @word is what it was. */
static inline uint64_t change_in(struct ml_agent_word word)
{
	return *(const uint64_t *)word.address ^ word.value;
}

/* How many words of the frames before the next @joint are what they were. */
static void compare_course(struct walk *walk)
{
	const struct ml_agent_course *course = &walk->memo->course;
	const struct ml_agent_word *words = course->words;
	uint32_t total = walk->count + walk->joint, i = 0,
		 count = course->frames[walk->joint - 1].words;

	walk->is_compared = true;
	walk->compared_from =
		total > walk->depth + COMPARED_BEYOND ? total - walk->depth - COMPARED_BEYOND : 0;
	if (walk->compared_from >= walk->joint)
		walk->compared_from = walk->joint - 1;
	if (walk->compared_from)
		i = course->frames[walk->compared_from - 1].words;
	while (i + 4 <= count && !(change_in(words[i]) | change_in(words[i + 1]) |
				   change_in(words[i + 2]) | change_in(words[i + 3])))
		i += 4;
	while (i < count && !change_in(words[i]))
		i++;
	walk->unchanged = i;
}

/* The next frame to come to is one from which on nothing has changed. */
static void pass_changed_frames(struct walk *walk)
{
	const struct ml_agent_frame *frames = walk->memo->course.frames;

	while (walk->joint && frames[walk->joint - 1].words > walk->unchanged)
		walk->joint--;
}

/* Whether the walk may go on as the last one did from that frame where it now is by its sp. */
__attribute__((noinline)) static bool may_join(struct walk *walk, uint64_t ip)
{
	const struct ml_agent_course *course = &walk->memo->course;
	const struct ml_agent_frame *frame = &course->frames[walk->joint - 1];
	uint32_t total = walk->count + walk->joint;

	if (frame->ip != ip || frame->flags & ML_AGENT_FRAME_NEEDS_BX ||
	    (frame->flags & ML_AGENT_FRAME_NEEDS_BP && frame->bp != walk->regs->bp) ||
	    (course->end == ML_WALK_DEPTH && total < walk->depth))
		return false;
	if (!walk->is_compared)
		compare_course(walk);
	if (frame->words > walk->unchanged) {
		pass_changed_frames(walk);
		return false;
	}
	if (total > walk->depth && total - walk->depth < walk->compared_from)
		return false;
	if (frame->flags & ML_AGENT_FRAME_NEEDS_BP)
		use_bp(walk);
	walk->is_joined = true;
	return true;
}

static inline bool joins(struct walk *walk, uint64_t ip)
{
	const struct ml_agent_frame *frames = walk->memo->course.frames;

	while (walk->joint && frames[walk->joint - 1].sp < walk->regs->sp)
		walk->joint--;
	return walk->joint && frames[walk->joint - 1].sp == walk->regs->sp && may_join(walk, ip);
}

/* How many frames of the last walk this one may come to. Their words are read only where the stack
 * is known to be readable. */
static uint32_t frames_to_join(const struct walk *walk, uint32_t epoch)
{
	const struct ml_agent_course *course = &walk->memo->course;

	if (!is_readable(walk->thread, walk->low, walk->low) || course->epoch != epoch ||
	    !is_known_readable(walk->thread, course->low, course->high))
		return 0;
	return course->count;
}

/* ---- walks ------------------------------------------------------------------------------------
 */

/* From here on on a stack that may lie anywhere: what the walk depends on then may be unmapped
 * before it is looked at again. */
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
			       struct ml_agent_frame *frame)
{
	struct ml_java_step step = {.regs = *walk->regs, .entry = frame->entry};
	uint32_t end = ml_java_step(java, &step, walk), count = walk->words - frame->words;

	*walk->regs = step.regs;
	frame->entry = step.entry;
	if (!(step.entry & ML_STACK_JAVA_COMPILED))
		use_bp(walk);
	if (count >= 2)
		load_bp(walk, frame, (int)count - 2);
	if (end != ML_WALK_MORE)
		walk->overflowed = true;
	return end;
}

/* What most rows say: the CFA is at a distance from rsp, rbp is as it was, or saved near the CFA.
 */
#define PLAIN_RULES ML_ROW_RULES(15u, 2u, 0u)

/* A step by such a row; false when it is none, or must be looked at more closely. */
static inline bool step_plainly(struct walk *walk, struct ml_unwind_row row,
				struct ml_agent_frame *frame)
{
	struct ml_unwind_regs *regs = walk->regs;
	struct ml_agent_word *words = &walk->memo->new_words[walk->words];
	uint64_t cfa = regs->sp + (uint64_t)(row.cfa_words * 8l), at;
	int64_t offset = ML_ROW_RBX(row.rules) == ML_RBX_CFA ? -16 : row.rbp_words * 8;

	if ((row.rules & PLAIN_RULES) != ML_CFA_RSP || cfa <= regs->sp || cfa & 7 ||
	    walk->has_left || !is_known_readable(walk->thread, walk->low, cfa - 8) ||
	    !*(const uint64_t *)(cfa - 8))
		return false;
	at = cfa + (uint64_t)offset;
	if (ML_ROW_RBP(row.rules) == ML_RBP_CFA) {
		if (!is_known_readable(walk->thread, walk->low, at))
			return false;
		regs->bp = *(const uint64_t *)at;
		words[1] = (struct ml_agent_word){at, regs->bp};
		frame->flags = ML_AGENT_FRAME_SAVED_BP;
		walk->bp_frame = walk->bp_known = walk->count;
		walk->words++;
	}
	regs->ip = *(const uint64_t *)(cfa - 8);
	words[0] = (struct ml_agent_word){cfa - 8, regs->ip};
	walk->words++;
	regs->bx_at = ml_unwind_rbx(row, cfa, regs->bx_at);
	regs->sp = cfa;
	regs->is_call = 1;
	return true;
}

__attribute__((noinline)) static uint32_t step_by_row(struct walk *walk, struct ml_unwind_row row,
						      struct ml_agent_frame *frame)
{
	uint64_t sp = walk->regs->sp;
	int saved_bp = saved_bp_of(row);
	uint32_t end;

	if (uses_bp(row))
		use_bp(walk);
	if (UNLIKELY(ML_ROW_CFA(row.rules) == ML_CFA_RBX))
		use_bx(walk);
	if (UNLIKELY(ML_ROW_CFA(row.rules) == ML_CFA_GO_STACK))
		leave_stack(walk);
	end = ml_unwind_by_row(row, walk->regs, walk);
	if (leaves_by_signal(row, sp, walk->regs->sp))
		leave_stack(walk);
	if (saved_bp >= 0)
		load_bp(walk, frame, saved_bp);
	/* Lost: what it was before does not matter any more. */
	if (ML_ROW_RBP(row.rules) == ML_RBP_UNDEF) {
		walk->bp_frame = 0;
		walk->bp_known = walk->count;
	}
	return end;
}

/* Makes the frame that the walk is in the next of the new ones. */
static inline struct ml_agent_frame *enter_frame(struct walk *walk, uint64_t ip)
{
	struct ml_agent_frame *frame = &walk->memo->new_frames[walk->count++];

	if (UNLIKELY(walk->words + STEP_WORDS > ML_AGENT_FRAME_WORDS)) {
		walk->overflowed = true;
		walk->words = 0;
	}
	frame->ip = frame->entry = ip;
	frame->sp = walk->regs->sp;
	frame->bp = walk->regs->bp;
	frame->words = walk->words;
	frame->loops = 0;
	frame->flags = 0;
	return frame;
}

/* Walks until there are no more frames, or the last walk's are come to; why it ended. */
static uint32_t walk_stack(struct walk *walk, uint32_t epoch)
{
	const struct ml_process_maps *maps =
		&walk->memory->maps[LOAD(walk->memory->maps_current) & 1];
	const struct ml_python_layout *python = &maps->python;
	const struct ml_process_map *map = NULL;
	struct ml_unwind_regs *regs = walk->regs;
	uint32_t end = ML_WALK_MORE;

	walk->joint = frames_to_join(walk, epoch);
	while (end == ML_WALK_MORE) {
		uint64_t ip = regs->is_call ? regs->ip : regs->ip | ML_STACK_IP_INTERRUPTED;
		struct ml_agent_frame *frame;
		struct ml_unwind_row row;

		if (joins(walk, ip))
			return walk->memo->course.end;
		if (walk->count == walk->limit)
			return ML_WALK_DEPTH;
		frame = enter_frame(walk, ip);
		frame->loops =
			regs->ip - python->loop_start <= python->loop_end - python->loop_start;
		if (UNLIKELY(ml_java_has(&maps->java, regs->ip - regs->is_call))) {
			end = step_java(walk, &maps->java, frame);
			continue;
		}
		row = cached_row(walk, &map, regs->ip - regs->is_call);
		if (!step_plainly(walk, row, frame))
			end = step_by_row(walk, row, frame);
	}
	walk->joint = 0;
	return end;
}

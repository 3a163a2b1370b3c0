/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * The Python functions a thread is in, part of agent.c: read out of CPython's own structures at
 * every allocation whose stack has an eval loop in it, as the programs in the kernel do
 * (src/bpf/python.bpf.h, which says where they are).
 *
 * Python functions that call each other share one native stack (CPython 3.11 on), so a trace does
 * not tell them apart. Their frames are read each time, for one that did not run has not changed
 * but nothing tells that it did not; what is kept is which stack they make with the native one
 * below: a second cache of traces, by a hash of the frames and the native stack's number.
 *
 * The frames lie in memory that the interpreter gives back. So before a page is read the kernel is
 * asked whether it can be, and asked again some milliseconds later, and once the process has
 * unmapped anything.
 */
#define PYTHON_THREADS 1024u /* of the interpreter's list that are looked at */
#define PYTHON_TRIES   16u   /* failed searches in a row before ... */
#define PYTHON_RETRY   64u   /* ... only every so many allocations there is one more */
#define ADDRESS_END    (1ull << 47)

struct python_walk {
	const struct ml_python_layout *layout;
	struct ml_agent_python *python;
	uint64_t page; /* the last one that could be read, as it is kept */
	uint16_t age;
};

/* ---- reading ----------------------------------------------------------------------------------
 */

/* The places where page @kept may be kept: one is not enough, for two that take turns in it would
 * be asked for each time. */
static inline uint64_t *page_ways(const struct python_walk *walk, uint64_t kept)
{
	return walk->python->pages[(kept >> 16) * GOLDEN >> 58];
}

RARE static bool ask_for_page(const struct python_walk *walk, uint64_t kept)
{
	uint64_t *ways = page_ways(walk, kept);

	if (!is_page_readable(kept >> 16 << 12))
		return false;
	for (uint32_t i = ML_AGENT_PAGE_WAYS - 1; i; i--)
		ways[i] = ways[i - 1];
	ways[0] = kept;
	return true;
}

static inline bool is_page_kept(const struct python_walk *walk, uint64_t kept)
{
	const uint64_t *ways = page_ways(walk, kept);
	bool found = false;

	for (uint32_t i = 0; i < ML_AGENT_PAGE_WAYS; i++)
		found |= ways[i] == kept;
	return found;
}

static inline bool can_read_page(struct python_walk *walk, uint64_t address)
{
	uint64_t kept = address >> 12 << 16 | walk->age;

	if (LIKELY(kept == walk->page))
		return true;
	if (UNLIKELY(address - ML_AGENT_PAGE >= ADDRESS_END - ML_AGENT_PAGE) ||
	    (UNLIKELY(!is_page_kept(walk, kept)) && !ask_for_page(walk, kept)))
		return false;
	walk->page = kept;
	return true;
}

/* Whether @size bytes, no more than a page, can be read. */
static inline bool can_read(struct python_walk *walk, uint64_t address, uint64_t size)
{
	return can_read_page(walk, address) &&
	       (LIKELY((address & PAGE_MASK) + size <= ML_AGENT_PAGE) ||
		can_read_page(walk, address + size - 1));
}

static inline uint64_t word_at(uint64_t address)
{
	return *(const uint64_t *)address;
}

static inline uint64_t read_pointer(struct python_walk *walk, uint64_t address)
{
	return can_read(walk, address, 8) ? word_at(address) : 0;
}

/* ---- the thread's state -----------------------------------------------------------------------
 */

/* The interpreter's list may change at any moment, so it is read by the kernel. */
static uint64_t read_shared(uint64_t address)
{
	uint64_t value;

	return read_safely(address, &value, sizeof(value)) ? value : 0;
}

RARE static uint64_t find_python_state(struct python_walk *walk, uint64_t thread_id)
{
	const struct ml_python_layout *layout = walk->layout;
	struct ml_agent_python *python = walk->python;
	uint64_t state;

	python->state = 0;
	/* Threads of libraries may be in a loop of another interpreter. */
	if (python->lost >= PYTHON_TRIES && python->lost++ % PYTHON_RETRY)
		return 0;
	state = read_shared(layout->main_interpreter);
	if (state)
		state = read_shared(state + layout->first_thread);
	for (uint32_t i = 0; i < PYTHON_THREADS && state; i++) {
		if (read_shared(state + layout->thread_id) == thread_id) {
			python->lost = 0;
			python->state = state;
			return state;
		}
		state = read_shared(state + layout->next_thread);
	}
	python->lost++;
	return 0;
}

static inline uint64_t python_state(struct python_walk *walk, uint64_t thread_id)
{
	uint64_t state = walk->python->state;

	if (LIKELY(state && read_pointer(walk, state + walk->layout->thread_id) == thread_id))
		return state;
	state = find_python_state(walk, thread_id);
	return can_read(walk, state + walk->layout->thread_id, 8) ? state : 0;
}

/* ---- frames -----------------------------------------------------------------------------------
 *
 * What a thread is in is mostly what it was in at its last allocation but for the innermost
 * function's line. The words that led through the frames are remembered with the instructions these
 * were at, which are within their code objects: of the outer ones that is all to compare.
 */

/* The newest frame of the thread; 0 when there is none. *@in is what its state says of it. */
static inline uint64_t newest_frame(struct python_walk *walk, uint64_t thread_id, uint64_t *in)
{
	uint64_t state = python_state(walk, thread_id);

	*in = state ? read_pointer(walk, state + walk->layout->frames) : 0;
	if (*in && walk->layout->has_cframe)
		return read_pointer(walk, *in + walk->layout->cframe_frame);
	return *in;
}

static inline uint64_t stir_frame(uint64_t hash, uint64_t code, uint64_t instruction)
{
	hash = (hash ^ code ^ instruction << 1) * GOLDEN;
	return hash ^ hash >> PYTHON_STIR_SHIFT;
}

/* What @frame, which can be read, is in; false for one that only separates. */
static inline bool read_frame(const struct ml_python_layout *layout, uint64_t frame,
			      struct ml_python_frame *out)
{
	bool is_marked = *(const uint8_t *)(frame + layout->mark) == layout->mark_value;

	out->code =
		(word_at(frame + layout->code) & ~7ull) | (is_marked ? ML_PYTHON_LOOP_BEGINS : 0);
	out->instruction = word_at(frame + layout->instruction);
	return !is_marked || layout->mark_is_function;
}

static void see_word(struct ml_agent_python *python, uint64_t address, uint64_t value)
{
	python->words[python->word_bytes / sizeof(python->words[0])] =
		(struct ml_agent_word){address, value};
	python->word_bytes += sizeof(python->words[0]);
}

/* Goes through all frames from @frame on; false when there is no function among them. */
static bool see_frames(struct python_walk *walk, uint64_t frame)
{
	const struct ml_python_layout *layout = walk->layout;
	struct ml_agent_python *python = walk->python;
	uint64_t hash = GOLDEN;
	uint32_t n = 0, functions = 0;

	python->code_at = frame + layout->code;
	python->instruction_at = frame + layout->instruction;
	python->mark_at = frame + layout->mark;
	python->mark_value = layout->mark_value;
	/* Twice the depth: frames that only separate take a step, too. */
	while (n < 2 * ML_PYTHON_DEPTH && functions < ML_PYTHON_DEPTH && frame && !(frame & 7) &&
	       can_read(walk, frame, ML_PYTHON_FRAME_BYTES)) {
		struct ml_python_frame read;
		bool is_function = read_frame(layout, frame, &read);

		if (n) {
			hash = stir_frame(hash, is_function ? read.code : 0, read.instruction);
			see_word(python, frame + layout->instruction, read.instruction);
		}
		functions += is_function;
		python->frames[n++] = frame;
		see_word(python, frame + layout->previous, word_at(frame + layout->previous));
		frame = word_at(frame + layout->previous);
	}
	python->frame_count = n;
	python->outer_hash = hash;
	return functions;
}

/* Looks at all the frames that the thread is in; false when it is in none. */
__attribute__((noinline)) static bool see_python(struct python_walk *walk, uint64_t thread_id)
{
	const struct ml_python_layout *layout = walk->layout;
	struct ml_agent_python *python = walk->python;
	uint64_t in, frame;

	/* What is interrupted here is to be done again. */
	python->seen_age = ML_AGENT_UNSEEN;
	IN_ORDER();
	frame = newest_frame(walk, thread_id, &in);
	if (!frame)
		return false;
	python->word_bytes = 0;
	see_word(python, python->state + layout->thread_id, thread_id);
	see_word(python, python->state + layout->frames, in);
	if (layout->has_cframe)
		see_word(python, in + layout->cframe_frame, frame);
	if (!see_frames(walk, frame))
		return false;
	IN_ORDER();
	python->seen_age = walk->age;
	return true;
}

/* Whether the thread is in the frames again that it was last in: all that is read here could be
 * read a moment ago. entry.S does the same. */
static inline bool is_seen(const struct python_walk *walk)
{
	const struct ml_agent_python *python = walk->python;

	if (python->seen_age != walk->age)
		return false;
	for (uint32_t i = 0; i < python->word_bytes / sizeof(python->words[0]); i++)
		if (word_at(python->words[i].address) != python->words[i].value)
			return false;
	return true;
}

/* A hash of the functions the thread is in, 0 when it is in none. */
static inline uint64_t hash_python(struct python_walk *walk, uint64_t thread_id)
{
	struct ml_agent_python *python = walk->python;
	struct ml_python_frame newest;

	if (UNLIKELY(!is_seen(walk)) && !see_python(walk, thread_id))
		return 0;
	read_frame(walk->layout, python->frames[0], &newest);
	return stir_frame(python->outer_hash, newest.code, newest.instruction) | 1;
}

/* ---- stacks -----------------------------------------------------------------------------------
 */

/* The number of the stack of the frames seen over stack @native; 0 when there is no room. */
RARE static uint32_t python_stack(struct ml_agent_memory *memory, struct ml_agent_memo *memo,
				  const struct python_walk *walk, uint32_t native)
{
	struct ml_agent_python *python = walk->python;
	struct ml_python_frame *frames = python->found.frames;
	uint32_t n = 0, stack;

	memo->is_walking = 1;
	IN_ORDER();
	python->found.native = native;
	for (uint32_t i = 0; i < python->frame_count && n < ML_PYTHON_DEPTH; i++) {
		if (read_frame(walk->layout, python->frames[i], &frames[n]))
			n++;
		else if (n)
			frames[n - 1].code |= ML_PYTHON_LOOP_BEGINS;
	}
	stack = python_stack_of(memory, (const uint64_t *)&python->found, 1 + 2 * n,
				memory->stacks[native].end | ML_AGENT_STACK_PYTHON);
	IN_ORDER();
	memo->is_walking = 0;
	return stack;
}

/* Whether Python functions may belong to stack @native, which is @trace's unless that is NULL. */
static inline bool has_python(const struct ml_agent_memory *memory, uint32_t native,
			      const struct ml_agent_trace *trace)
{
	if (trace)
		return trace->end & ML_AGENT_STACK_LOOP;
	return UNLIKELY(memory->maps[LOAD(memory->maps_current) & 1].python.main_interpreter) &&
	       memory->stacks[native].end & ML_AGENT_STACK_LOOP;
}

_Static_assert(!(ML_AGENT_PYTHON_WALKS & (ML_AGENT_PYTHON_WALKS - 1)) &&
		       ML_AGENT_PYTHON_WALKS <= ML_AGENT_TRACE_WAYS << (64 - WAYS_HASH_SHIFT),
	       "every way is in a set");

/* The trace of @hash over stack @native, NULL when there is none; *@ways is where it should be. */
static struct ml_agent_trace *find_python_trace(struct ml_agent_memo *memo, uint64_t hash,
						uint32_t native, struct ml_agent_trace **ways)
{
	uint64_t set = (hash ^ native * GOLDEN) * GOLDEN >> WAYS_HASH_SHIFT;

	*ways = &memo->python_traces[set * ML_AGENT_TRACE_WAYS & (ML_AGENT_PYTHON_WALKS - 1)];
	for (uint32_t i = 0; i < ML_AGENT_TRACE_WAYS; i++)
		if ((*ways)[i].ip == hash && (*ways)[i].sp == native)
			return &(*ways)[i];
	return NULL;
}

/* The trace of the stack that is stack @native, @trace's unless that is NULL, with the thread's
 * Python functions; NULL when it is in none, or there is no room. Nobody else may be at the
 * thread's traces. */
static struct ml_agent_trace *python_trace(struct ml_agent_memory *memory,
					   struct ml_agent_thread *thread, uint32_t native,
					   struct ml_agent_trace *trace)
{
	struct ml_agent_memo *memo = thread->memo;
	struct python_walk walk = {
		.layout = &memory->maps[LOAD(memory->maps_current) & 1].python,
		.python = &memo->python,
		.page = UINT64_MAX,
		.age = (uint16_t)((LOAD(memory->now_ns) >> PYTHON_AGE_SHIFT) +
				  LOAD(memory->unmap_count)),
	};
	struct ml_agent_trace *last = &memo->python_traces[trace ? trace->python : 0], *ways;
	uint64_t hash = hash_python(&walk, thread->pointer);
	uint32_t stack;

	if (!hash)
		return NULL;
	if (LIKELY(last->ip == hash && last->sp == native))
		return last;
	last = find_python_trace(memo, hash, native, &ways);
	if (!last) {
		stack = python_stack(memory, memo, &walk, native);
		if (!stack)
			return NULL;
		thread->python_pages |= 1u
					<< (uint32_t)(ways - memo->python_traces) / TRACES_PER_PAGE;
		last = renew_ways(memory, ways);
		last->ip = hash;
		last->sp = native;
		last->stack = stack;
	}
	if (trace)
		trace->python = (uint16_t)(last - memo->python_traces);
	return last;
}

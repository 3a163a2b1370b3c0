/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/**
 * The Python functions a thread is in, read out of CPython's own structures (3.11 on) at the
 * allocation, for the line is that of the moment. Names are read later, outside the kernel.
 *
 * Part of walk.bpf.h. Works in the window of the native walk, which is over by then: the record in
 * its first half, the frame being read behind.
 *
 * A thread's state is found by its id, pthread_self(), which is the base of the fs segment: the
 * interpreter's own "current" one is nobody's while a C function runs without the lock (ctypes),
 * and CPython 3.12 on keeps it where no symbol leads to.
 */
#define PYTHON_THREADS     1024 /* of the interpreter's list that are looked at */
#define PYTHON_TRIES       16   /* failed searches in a row before ... */
#define PYTHON_RETRY       64   /* ... only every so many allocations there is one more */
#define PYTHON_FRAME_WORDS (ML_PYTHON_FRAME_BYTES / 8)
#define PYTHON_FRAME_AT    (ML_WINDOW_WORDS / 2)
#define PYTHON_WORD_MASK   15u

_Static_assert(PYTHON_FRAME_WORDS <= PYTHON_WORD_MASK + 1, "the mask keeps an index inside");

static __always_inline uint64_t read_pointer(uint64_t address)
{
	uint64_t value = 0;

	if (bpf_probe_read_user(&value, sizeof(value), (void *)address))
		return 0;
	return value;
}

struct python_search {
	const struct ml_python_layout *layout;
	uint64_t thread_id;
	uint64_t state; /* a PyThreadState */
};

static long compare_python_thread(uint32_t index, void *context)
{
	struct python_search *search = context;
	const struct ml_python_layout *layout = search->layout;

	if (!layout || !search->state)
		return 1;
	if (read_pointer(search->state + layout->thread_id) == search->thread_id)
		return 1;
	search->state = read_pointer(search->state + layout->next_thread);
	return 0;
}

/* The PyThreadState of this thread, 0 when it has none. */
static __always_inline uint64_t python_thread(struct thread_state *thread,
					      const struct ml_python_layout *layout)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct python_search search = {
		.layout = layout,
		.thread_id = BPF_CORE_READ(task, thread.fsbase),
	};

	if (thread->python && read_pointer(thread->python + layout->thread_id) == search.thread_id)
		return thread->python;
	thread->python = 0;
	/* Threads of libraries never have one: their allocations must not search all the time. */
	if (thread->python_lost >= PYTHON_TRIES && thread->python_lost++ % PYTHON_RETRY)
		return 0;
	search.state = read_pointer(layout->main_interpreter);
	if (search.state)
		search.state = read_pointer(search.state + layout->first_thread);
	bpf_loop(PYTHON_THREADS, compare_python_thread, &search, 0);
	if (!search.state || read_pointer(search.state + layout->thread_id) != search.thread_id) {
		thread->python_lost++;
		return 0;
	}
	thread->python_lost = 0;
	thread->python = search.state;
	return search.state;
}

struct python_walk {
	struct thread_state *thread;
	const struct ml_python_layout *layout;
	uint64_t frame;
	uint64_t hash;
	uint32_t count;
};

/* The word at byte @offset of the frame that was read into the window. */
static __always_inline uint64_t frame_word(struct thread_state *thread, uint32_t offset)
{
	uint64_t word = offset >> 3;

	UNPROVABLE(word);
	return thread->window[PYTHON_FRAME_AT + (word & PYTHON_WORD_MASK)];
}

static long walk_python_frame(uint32_t index, void *context)
{
	struct python_walk *walk = context;
	struct thread_state *thread = walk->thread;
	const struct ml_python_layout *layout = walk->layout;
	uint64_t at = walk->count;

	if (!thread || !layout || !walk->frame || at >= ML_PYTHON_DEPTH ||
	    bpf_probe_read_user(&thread->window[PYTHON_FRAME_AT], ML_PYTHON_FRAME_BYTES,
				(void *)walk->frame))
		return 1;

	uint64_t code = frame_word(thread, layout->code) & ~7ull;
	uint64_t instruction = frame_word(thread, layout->instruction);
	uint64_t mark = frame_word(thread, layout->mark) >> (layout->mark & 7) * 8;
	bool is_marked = (mark & 0xff) == layout->mark_value;

	walk->frame = frame_word(thread, layout->previous);
	UNPROVABLE(at);
	if (is_marked && !layout->mark_is_function) {
		if (at)
			thread->window[(at - 1) * 2 & (PYTHON_FRAME_AT - 1)] |=
				ML_PYTHON_LOOP_BEGINS;
		return 0;
	}
	thread->window[at * 2 & (PYTHON_FRAME_AT - 1)] =
		code | (is_marked ? ML_PYTHON_LOOP_BEGINS : 0);
	thread->window[(at * 2 + 1) & (PYTHON_FRAME_AT - 1)] = instruction;
	walk->count++;
	walk->hash = (walk->hash ^ code ^ instruction) * 0x9e3779b97f4a7c15ull;
	walk->hash ^= walk->hash >> 29;
	return 0;
}

/* Puts the thread's Python functions into the window and stirs them into @hash; false when it is
 * in none. */
static __always_inline bool walk_python(struct thread_state *thread,
					const struct ml_python_layout *layout, uint64_t *hash)
{
	uint64_t state = python_thread(thread, layout);

	if (!state)
		return false;

	uint64_t frame = read_pointer(state + layout->frames);

	if (layout->has_cframe && frame)
		frame = read_pointer(frame + layout->cframe_frame);

	struct python_walk walk = {
		.thread = thread,
		.layout = layout,
		.frame = frame,
		.hash = *hash,
	};

	thread->window_base = 1; /* matches no aligned address: the window is ours now */
	/* Twice the depth: frames that only separate take a step, too. */
	bpf_loop(2 * ML_PYTHON_DEPTH, walk_python_frame, &walk, 0);
	*hash = walk.hash;

	uint64_t end = walk.count;

	UNPROVABLE(end);
	if (end < ML_PYTHON_DEPTH)
		thread->window[end * 2 & (PYTHON_FRAME_AT - 1)] = 0;
	return walk.count > 0;
}

/* Keeps what walk_python() found as the Python part of stack @id. */
static __always_inline void keep_python(struct thread_state *thread, uint64_t id)
{
	bpf_map_update_elem(&python_stacks, &id, thread->window, BPF_NOEXIST);
}

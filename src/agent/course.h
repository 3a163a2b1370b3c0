/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * The thread's last walk, part of agent.c: what a walk has found becomes it, and its stack is told
 * by it. A course in the making has no frames: nobody goes on with what was left half done.
 */

/* The outermost frames of the last walk go, to make room for those of @walk, which come to @joint
 * of it; how many of these are left. All that are kept of the stack are among them. */
RARE static uint32_t shorten_course(struct ml_agent_course *course, const struct walk *walk,
				    uint32_t joint)
{
	uint32_t kept = walk->count < walk->depth ? walk->depth : 0, gone, words;

	if (kept >= joint)
		return joint;
	gone = joint - kept;
	words = course->frames[gone - 1].words;
	course->hash = course->frames[gone - 1].hash;
	course->end = ML_WALK_DEPTH;
	for (uint32_t i = words; kept && i < course->frames[joint - 1].words; i++)
		course->words[i - words] = course->words[i];
	for (uint32_t i = 0; i < kept; i++) {
		course->frames[i] = course->frames[gone + i];
		course->frames[i].words -= words;
	}
	return kept;
}

static inline void add_word(struct ml_agent_course *course, uint32_t at, struct ml_agent_word word)
{
	course->words[at] = word;
	if (word.address < course->low)
		course->low = word.address;
	if (word.address > course->high)
		course->high = word.address;
}

/* Puts the new frames of @walk behind the first @joint ones; how many there are then. */
static uint32_t lengthen_course(struct ml_agent_course *course, const struct walk *walk,
				uint32_t joint)
{
	const struct ml_agent_memo *memo = walk->memo;
	uint64_t hash = joint ? course->frames[joint - 1].hash : course->hash;
	uint32_t words = joint ? course->frames[joint - 1].words : 0, end = walk->words;
	uint16_t loops = joint ? course->frames[joint - 1].loops : 0;

	for (uint32_t i = walk->count; i--; joint++) {
		const struct ml_agent_frame *new = &memo->new_frames[i];
		struct ml_agent_frame *frame = &course->frames[joint];
		uint32_t first = new->words;

		if (end > first &&
		    (new->flags &(ML_AGENT_FRAME_SAVED_BP | ML_AGENT_FRAME_KEEPS_BP)) ==
			    ML_AGENT_FRAME_SAVED_BP)
			end--;
		for (uint32_t k = first; k < end; k++)
			add_word(course, words++, memo->new_words[k]);
		end = first;
		*frame = *new;
		frame->words = words;
		frame->loops = loops = (uint16_t)(loops + new->loops);
		frame->hash = hash = stir_entry(hash, new->entry);
	}
	return joint;
}

/* Makes the course that of @walk, which ended for @end; how many frames it has. */
static uint32_t make_course(struct walk *walk, uint32_t end)
{
	struct ml_agent_course *course = &walk->memo->course;
	uint32_t joint = walk->is_joined ? walk->joint : 0;
	uint32_t words = joint ? course->frames[joint - 1].words : 0;

	course->count = 0;
	IN_ORDER();
	course->end = end;
	if (!joint) {
		course->hash = 0;
		course->low = UINT64_MAX;
		course->high = 0;
	} else if (joint + walk->count > ML_AGENT_FRAMES ||
		   words + walk->words > ML_AGENT_FRAME_WORDS) {
		joint = shorten_course(course, walk, joint);
		words = joint ? course->frames[joint - 1].words : 0;
	}
	/* Its frames are there for the stack, but not for another walk. */
	if (walk->overflowed || words + walk->words > ML_AGENT_FRAME_WORDS) {
		walk->overflowed = true;
		walk->words = 0;
		for (uint32_t i = 0; i < walk->count; i++)
			walk->memo->new_frames[i].words = 0;
	}
	return lengthen_course(course, walk, joint);
}

/* Has @stack, of @walk, go on as that of the last walk, of @frames frames, where it came to these;
 * else all its entries are to be its own. */
static void find_common(const struct walk *walk, uint32_t last, uint32_t frames,
			struct new_stack *stack)
{
	uint32_t skip = frames - walk->joint;

	stack->own = stack->count;
	if (!walk->is_joined || !last || walk->count >= stack->count ||
	    skip + stack->count - walk->count > walk->memory->stacks[last].count)
		return;
	stack->own = walk->count;
	stack->outer = last;
	stack->skip = skip;
}

/* The number of the stack of @walk, which ended for *@end, 0 when there is no room; it becomes the
 * last walk, but for the number of its frames. *@count gets that, and *@end why the stack ends. */
static uint32_t number_stack(struct walk *walk, uint32_t *count, uint32_t *end)
{
	struct ml_agent_memory *memory = walk->memory;
	struct ml_agent_memo *memo = walk->memo;
	struct ml_agent_course *course = &memo->course;
	uint32_t last = course->stack, last_count = course->count, depth = walk->depth, id;
	uint32_t n = *count = make_course(walk, *end);
	const struct ml_agent_frame *top = &course->frames[n - 1];
	uint64_t outer = n > depth ? course->frames[n - depth - 1].hash : course->hash;
	struct new_stack stack = {.count = n < depth ? n : depth};

	*end = n > depth ? ML_WALK_DEPTH : course->end;
	/* What is beyond such an end may be an eval loop. */
	stack.end = *end;
	if ((*end != ML_WALK_COMPLETE || top->loops) &&
	    memory->maps[LOAD(memory->maps_current) & 1].python.main_interpreter)
		*end = stack.end |= ML_AGENT_STACK_LOOP;
	stack.hash =
		spread_hash(memory, outer ? hash_within(top->hash, outer, stack.count) : top->hash);
	id = stack_recall(memory, memo, stack.hash);
	if (!id) {
		find_common(walk, last, last_count, &stack);
		for (uint32_t i = 0; i < stack.own; i++)
			memo->ip[i] = top[-(int)i].entry;
		stack.entries = memo->ip;
		id = stack_add(memory, &stack);
	}
	course->stack = id;
	return id;
}

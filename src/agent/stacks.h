/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * The stacks the agent numbers, part of agent.c.
 *
 * Stacks mostly go on outwards as another one does, so only the frames that differ are kept, and
 * where it goes on. What finds them is a hash of their entries: a polynomial, so that it follows
 * from that of the outer frames, and that of those within the depth from it and what is beyond.
 */
#define HASH_BASE 0xd1342543de82ef95ull

/* What a new stack is made of. */
struct new_stack {
	const uint64_t *entries; /* its own, innermost first */
	uint64_t hash;
	uint32_t own;
	uint32_t count;
	uint32_t outer; /* the stack that it goes on as, behind @skip frames of that; 0: none */
	uint32_t skip;
	uint32_t end;
};

static inline uint64_t stir_entry(uint64_t hash, uint64_t entry)
{
	entry *= GOLDEN;
	entry = (entry ^ entry >> 32) * GOLDEN;
	return hash * HASH_BASE + (entry ^ entry >> 29);
}

/* @hash of all entries without the outer ones, of @outer, behind which there are @count. */
static uint64_t hash_within(uint64_t hash, uint64_t outer, uint32_t count)
{
	uint64_t power = HASH_BASE;

	for (; count; count >>= 1, power *= power)
		if (count & 1)
			outer *= power;
	return hash - outer;
}

static inline uint64_t *stack_slot(struct ml_agent_memory *memory, uint32_t level, uint64_t hash)
{
	uint64_t slots = 1ull << ML_AGENT_INDEX_SHIFT(level);

	return &memory->stack_index[ML_AGENT_INDEX_FIRST(level) + (hash & (slots - 1))];
}

/* The level of the index that stack number @id is in: as many as fill half of it. */
static inline uint32_t level_of(uint32_t id)
{
	uint32_t level = 0;

	while (level + 1 < ML_AGENT_INDEX_LEVELS && id >= ML_AGENT_INDEX_FIRST(level + 1) / 2)
		level++;
	return level;
}

/* What the index has of the stack of @hash beside its number. */
static inline uint64_t index_tag(uint64_t hash)
{
	return hash & ~(uint64_t)ML_AGENT_INDEX_NUMBER;
}

/* What a polynomial comes to is not spread. */
static inline uint64_t spread_hash(const struct ml_agent_memory *memory, uint64_t hash)
{
	hash = (hash ^ memory->tgid) * GOLDEN;
	return hash ^ hash >> 29;
}

/* The number of the stack of @hash; 0 when it is none. */
static inline uint32_t stack_find(struct ml_agent_memory *memory, uint64_t hash)
{
	uint32_t last = level_of(LOAD(memory->stack_count));

	for (uint32_t level = 1; level <= last; level++)
		__builtin_prefetch(stack_slot(memory, level, hash));
	for (uint32_t level = 0; level <= last; level++)
		for (uint64_t i = hash;; i++) {
			uint64_t slot =
				__atomic_load_n(stack_slot(memory, level, i), __ATOMIC_ACQUIRE);

			if (!slot)
				break;
			if (index_tag(slot) == index_tag(hash))
				return slot & ML_AGENT_INDEX_NUMBER;
		}
	return 0;
}

/* The same, for a thread that has been in most of its stacks a short while ago. */
static uint32_t stack_recall(struct ml_agent_memory *memory, struct ml_agent_memo *memo,
			     uint64_t hash)
{
	uint64_t *known = &memo->numbers[hash & (ML_AGENT_NUMBERS - 1)];
	uint32_t id = *known & ML_AGENT_INDEX_NUMBER;

	if (id && index_tag(*known) == index_tag(hash))
		return id;
	id = stack_find(memory, hash);
	if (id)
		*known = index_tag(hash) | id;
	return id;
}

/* Has @stack go on as one that has those frames itself. */
static void find_outer(const struct ml_agent_memory *memory, struct new_stack *stack)
{
	const struct ml_agent_stack *outer = &memory->stacks[stack->outer];

	while (stack->outer && stack->skip >= outer->own) {
		stack->skip += outer->skip - outer->own;
		stack->outer = outer->outer;
		outer = &memory->stacks[stack->outer];
	}
}

/* A new stack's number, its record written; 0 when there is no room. */
static uint32_t stack_new(struct ml_agent_memory *memory, struct new_stack *stack)
{
	uint32_t n = stack->own;

	if (LOAD(memory->stack_count) + 1 >= memory->stack_limit ||
	    LOAD(memory->word_count) + n > memory->word_limit)
		return 0;

	uint32_t id = __atomic_add_fetch(&memory->stack_count, 1, __ATOMIC_RELAXED);
	uint64_t first = __atomic_fetch_add(&memory->word_count, n, __ATOMIC_RELAXED);

	if (id >= memory->stack_limit || first + n > memory->word_limit)
		return 0;
	find_outer(memory, stack);
	for (uint32_t i = 0; i < n; i++)
		memory->words[first + i] = stack->entries[i];
	memory->stacks[id] = (struct ml_agent_stack){.hash = stack->hash,
						     .first = (uint32_t)first,
						     .outer = stack->outer,
						     .count = (uint16_t)stack->count,
						     .own = (uint16_t)n,
						     .skip = (uint16_t)stack->skip,
						     .end = (uint16_t)stack->end};
	return id;
}

/* The number of @stack, of which none was found; 0 when there is no room. Another thread may have
 * made it meanwhile. */
RARE static uint32_t stack_add(struct ml_agent_memory *memory, struct new_stack *stack)
{
	uint32_t fresh = stack_new(memory, stack);

	if (!fresh) {
		count(memory, ML_COUNTER_STACK_TABLE_FULL);
		return 0;
	}
	for (uint64_t i = stack->hash, level = level_of(fresh);; i++) {
		uint64_t *slot = stack_slot(memory, (uint32_t)level, i), old = 0;

		if (__atomic_compare_exchange_n(slot, &old, index_tag(stack->hash) | fresh, false,
						__ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
			return fresh;
		if (index_tag(old) == index_tag(stack->hash))
			return old & ML_AGENT_INDEX_NUMBER;
	}
}

/* The number of the stack of Python functions @entries over stack entries[0]. */
static uint32_t python_stack_of(struct ml_agent_memory *memory, const uint64_t *entries, uint32_t n,
				uint32_t end)
{
	struct new_stack stack = {.entries = entries, .own = n, .count = n, .end = end};
	uint32_t id;

	for (uint32_t i = 0; i < n; i++)
		stack.hash = stir_entry(stack.hash, entries[i]);
	stack.hash = spread_hash(memory, stack.hash);
	id = stack_find(memory, stack.hash);
	return id ? id : stack_add(memory, &stack);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * The agent's tables of blocks and sites, part of agent.c.
 *
 * An address belongs to one party at any moment: to the allocator until its call returns, to the
 * program until it frees. So no two threads book one address at once, and only the claim of a place
 * must be atomic.
 */
static inline uint64_t bucket_of(const struct ml_agent_memory *memory, uint64_t address)
{
	return ((address >> 4) * GOLDEN >> 32) & memory->bucket_mask;
}

/* The block of @address, or NULL. @bucket gets the number of its bucket. */
static struct ml_agent_block *find_block(struct ml_agent_memory *memory, uint64_t address,
					 uint64_t *bucket)
{
	uint64_t at = bucket_of(memory, address);

	for (uint32_t n = 0; n < ML_AGENT_PROBES; n++, at = (at + 1) & memory->bucket_mask) {
		struct ml_agent_bucket *b = &memory->buckets[at];

		for (uint32_t i = 0; i < ML_AGENT_BLOCKS; i++) {
			if (LOAD(b->block[i].address) != address)
				continue;
			*bucket = at;
			return &b->block[i];
		}
		if (!__atomic_load_n(&b->overflow, __ATOMIC_ACQUIRE))
			return NULL;
	}
	return NULL;
}

static void uncount_overflow(struct ml_agent_memory *memory, uint64_t from, uint64_t to)
{
	for (; from != to; from = (from + 1) & memory->bucket_mask)
		__atomic_fetch_sub(&memory->buckets[from].overflow, 1, __ATOMIC_ACQ_REL);
}

/* Takes the block at @address out; false when it is not there. */
static bool take_block(struct ml_agent_memory *memory, uint64_t address, struct ml_agent_block *out)
{
	uint64_t bucket;
	struct ml_agent_block *block = find_block(memory, address, &bucket);

	if (!block)
		return false;
	*out = *block;
	/* Freed twice at once is the program's bug; one of them is booked. */
	if (!__atomic_compare_exchange_n(&block->address, &address, 0, false, __ATOMIC_ACQ_REL,
					 __ATOMIC_RELAXED))
		return false;
	uncount_overflow(memory, bucket_of(memory, out->address), bucket);
	return true;
}

static inline void fill_block(struct ml_agent_block *place, const struct ml_agent_block *block)
{
	place->size = block->size;
	place->born_ns = block->born_ns;
	place->stack = block->stack;
	place->tid = block->tid;
	place->points = block->points;
	__atomic_store_n(&place->address, block->address, __ATOMIC_RELEASE);
}

static bool claim_in(struct ml_agent_bucket *bucket, const struct ml_agent_block *block)
{
	for (uint32_t i = 0; i < ML_AGENT_BLOCKS; i++) {
		uint64_t nothing = 0;

		if (LOAD(bucket->block[i].address) ||
		    !__atomic_compare_exchange_n(&bucket->block[i].address, &nothing, BLOCK_BUSY,
						 false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
			continue;
		fill_block(&bucket->block[i], block);
		return true;
	}
	return false;
}

/* Puts @block in. One of that address that is there already was freed without our seeing it. */
static bool put_block(struct ml_agent_memory *memory, const struct ml_agent_block *block)
{
	uint64_t home = bucket_of(memory, block->address), at = home, bucket;
	struct ml_agent_block *unseen = find_block(memory, block->address, &bucket);

	if (UNLIKELY(unseen)) {
		fill_block(unseen, block);
		return true;
	}
	for (uint32_t n = 0; n < ML_AGENT_PROBES; n++, at = (at + 1) & memory->bucket_mask) {
		if (claim_in(&memory->buckets[at], block))
			return true;
		__atomic_fetch_add(&memory->buckets[at].overflow, 1, __ATOMIC_ACQ_REL);
	}
	uncount_overflow(memory, home, at);
	count(memory, ML_COUNTER_LIVE_TABLE_FULL);
	return false;
}

/* The site first: what lives was never more than what was allocated. */
static void book_alloc(struct ml_agent_memory *memory, const struct ml_agent_block *block)
{
	struct ml_agent_site *site = &memory->sites[block->stack];

	ADD(site->allocs, 1);
	ADD(site->alloc_bytes, block->size);
	if (LIKELY(put_block(memory, block)))
		return;
	ADD(site->allocs, (uint64_t)-1);
	ADD(site->alloc_bytes, -block->size);
}

static void tell_map(struct ml_agent_memory *memory, const struct ml_map_event *event)
{
	uint64_t head = LOAD(memory->map_event_head);

	do {
		if (head - LOAD(memory->map_event_tail) >= ML_AGENT_MAP_EVENTS) {
			count(memory, ML_COUNTER_MAP_EVENTS_LOST);
			return;
		}
	} while (!__atomic_compare_exchange_n(&memory->map_event_head, &head, head + 1, false,
					      __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));

	struct ml_agent_map_event *place = &memory->map_events[head & (ML_AGENT_MAP_EVENTS - 1)];

	place->event = *event;
	/* Times are those of the heartbeat; the number keeps events of one beat in order. */
	place->event.time_ns += head & 0xfffff;
	__atomic_store_n(&place->sequence, head + 1, __ATOMIC_RELEASE);
}

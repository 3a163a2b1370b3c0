/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/**
 * The books of the kernel's own allocators, kept at their tracepoints.
 *
 * Raw tracepoints, not those with types (tp_btf): before Linux 6.16 the verifier refuses to read an
 * argument of type const void *, which is what the block's address is (btf_ctx_access() in
 * kernel/bpf/btf.c).
 */
#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "kernel_abi.h"
#include "shared/walk_end.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define ENOENT 2
#define E2BIG  7
#define EEXIST 17

/* kmalloc(0) gives this, kfree() takes it (include/linux/slab.h); below is NULL. */
#define ZERO_SIZE_PTR 16

/* Frames bpf_get_stack() gives at most: kernel.perf_event_max_stack is 127 unless raised. */
#define RAW_FRAMES 128u
/* Frames of the program, the tracepoint and the allocator before the caller. */
#define OWN_FRAMES      12u
#define OWN_FRAMES_MASK 15u
/* A task, a soft interrupt, a hard one, an NMI: what can nest on one CPU. */
#define SCRATCH_SLOTS 4

/* Which arguments of a tracepoint mean what differs among kernels; the tool reads it from BTF. What
 * the branches not taken would read is never looked at by the verifier: these are constants. */
const volatile __u32 kmalloc_size_at = 3;
const volatile __u32 kmalloc_node_size_at = 3;
const volatile __u32 cache_alloc_size_at = 0; /* 0: not given, the cache is argument 2 */
const volatile __u32 cache_alloc_node_size_at = 0;
const volatile bool percpu_has_call_site = true;

struct kmem_cache {
	unsigned int size;
} __attribute__((preserve_access_index));

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct ml_kernel_config);
} config SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, u64);
	__type(value, struct ml_stack_record);
} stacks SEC(".maps");

/* Preallocated, as all tables here: an insert that allocates would be an event itself. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, u64);
	__type(value, struct ml_site_record);
} sites SEC(".maps");

#include "books.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1048576);
	__type(key, struct ml_live_key);
	__type(value, struct ml_live_record);
} live SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} calls SEC(".maps");

struct stack_scratch {
	struct ml_stack_record record;
	u64 first; /* index in raw of the caller, through memory: see stack_first() */
	u64 raw[RAW_FRAMES + OWN_FRAMES_MASK];
};

/* Per CPU, and a slot for each level of nesting: an interrupt's allocation must not trample the
 * stack of the one it interrupted. A slot is claimed by its bit in busy. */
struct cpu_scratch {
	u64 sampled;
	u32 busy;
	u32 reserved;
	struct stack_scratch slot[SCRATCH_SLOTS];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct cpu_scratch);
} scratch SEC(".maps");

/* One allocation on its way into the books. */
struct allocation {
	struct ml_live_key key;
	u64 size;
	u64 call_site; /* return address into the caller, 0 when not known */
	u32 point;     /* enum ml_kernel_point */
};

static __always_inline const struct ml_kernel_config *config_get(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&config, &zero);
}

static __always_inline void call_emit(const struct ml_kernel_config *cfg, u32 point, u32 role,
				      u64 address, u64 size)
{
	if (!cfg->common.trace_calls)
		return;

	struct ml_call_event *event = bpf_ringbuf_reserve(&calls, sizeof(*event), 0);
	u64 id = bpf_get_current_pid_tgid();

	if (!event) {
		count(ML_COUNTER_CALL_EVENTS_LOST);
		return;
	}
	event->time_ns = bpf_ktime_get_ns();
	event->size = size;
	event->address = address;
	event->old_address = 0;
	event->tgid = id >> 32;
	event->tid = (u32)id;
	event->role = role;
	event->function = point;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	bpf_ringbuf_submit(event, 0);
}

/* Books the block at @key off; false when there is none. *@size becomes its size. */
static __always_inline bool block_remove(const struct ml_live_key *key, u64 *size)
{
	struct ml_live_record *found = bpf_map_lookup_elem(&live, key);

	if (!found)
		return false;

	struct ml_live_record record = *found;
	long err = bpf_map_delete_elem(&live, key);

	if (err) {
		/* -ENOENT: another CPU was faster. Else the table was busy beneath us. */
		if (err != -ENOENT)
			count(ML_COUNTER_CALLS_MISSED);
		return err == -ENOENT;
	}
	*size = record.size;
	book_site_free(&record);
	return true;
}

/* The slot's index, SCRATCH_SLOTS when all are in use. */
static __always_inline u32 slot_claim(struct cpu_scratch *cpu)
{
	u32 i;

	for (i = 0; i < SCRATCH_SLOTS; i++) {
		if (!(__sync_fetch_and_or(&cpu->busy, 1u << i) & 1u << i))
			break;
	}
	return i;
}

static __always_inline void slot_release(struct cpu_scratch *cpu, u32 slot)
{
	__sync_fetch_and_and(&cpu->busy, ~(1u << slot));
}

static __always_inline bool range_has(const struct ml_kernel_range *range, u64 ip)
{
	return ip - range->start < range->end - range->start;
}

/* Whether another allocator that we trace got these pages for itself. */
static __always_inline bool is_nested(const struct ml_kernel_config *cfg, const u64 *raw)
{
	for (u32 i = 2; i < OWN_FRAMES; i++) {
		u64 ip = raw[i];

		for (u32 j = 0; j < ML_KERNEL_NESTED_RANGES; j++) {
			if (range_has(&cfg->nested[j], ip))
				return true;
		}
	}
	return false;
}

static __always_inline u64 hash_add(u64 hash, u64 word)
{
	hash = (hash ^ word) * 0x9e3779b97f4a7c15ULL;
	return hash ^ hash >> 32;
}

/* The index of the caller in scratch->raw, at most OWN_FRAMES_MASK. It goes through memory so that
 * the verifier forgets which of its values it follows: else it walks the whole cut for each. */
static __always_inline u32 stack_first(struct stack_scratch *scratch, u64 call_site)
{
	scratch->first = 0;
	for (u32 i = 0; i < OWN_FRAMES; i++) {
		if (call_site && scratch->raw[i] == call_site) {
			scratch->first = i;
			break;
		}
	}
	return *(volatile u64 *)&scratch->first & OWN_FRAMES_MASK;
}

/* Fills scratch->record from scratch->raw, the caller first, and gives the stack's id. */
static __always_inline u64 stack_cut(const struct ml_kernel_config *cfg,
				     struct stack_scratch *scratch, u32 frames, u64 call_site)
{
	struct ml_stack_record *record = &scratch->record;
	u32 first = stack_first(scratch, call_site);
	u32 end = frames >= RAW_FRAMES - 1 ? ML_WALK_DEPTH : ML_WALK_COMPLETE;
	u64 hash = 0x6d6c6b;

	/* The count is kept in memory, which the verifier does not follow: else all that comes
	 * after the loop is walked once for every way out of it. */
	record->count = 0;
	for (u32 used = 0; used < ML_STACK_DEPTH; used++) {
		if (first + used >= frames)
			break;
		if (used >= cfg->common.depth) {
			end = ML_WALK_DEPTH;
			break;
		}
		u64 ip = scratch->raw[first + used];

		if (range_has(&cfg->interrupt, ip)) {
			end = ML_WALK_COMPLETE;
			break;
		}
		record->ip[used] = ip;
		record->count = used + 1;
		hash = hash_add(hash, ip);
	}
	record->end = end;
	record->tgid = 0;
	record->reserved = 0;
	hash = hash_add(hash, end);
	return hash <= ML_STACK_ID_NONE ? hash + 2 : hash;
}

/* Puts the record into the table of stacks; gives its id or ML_STACK_ID_NONE. */
static __always_inline u64 stack_keep(const struct ml_stack_record *record, u64 id)
{
	const struct ml_stack_record *known = bpf_map_lookup_elem(&stacks, &id);

	if (known) {
		if (known->count != record->count || known->ip[0] != record->ip[0])
			count(ML_COUNTER_STACK_HASH_COLLISIONS);
		return id;
	}

	long err = bpf_map_update_elem(&stacks, &id, record, BPF_NOEXIST);

	if (err && err != -EEXIST) {
		count(ML_COUNTER_STACK_TABLE_FULL);
		return ML_STACK_ID_NONE;
	}
	if (record->end == ML_WALK_DEPTH)
		count(ML_COUNTER_STACKS_DEPTH);
	return id;
}

/* The id of the current stack; 0 for an allocation that is not to be counted. */
static __always_inline u64 stack_take(void *ctx, const struct ml_kernel_config *cfg,
				      struct cpu_scratch *cpu, const struct allocation *block)
{
	u32 slot = slot_claim(cpu);

	if (slot >= SCRATCH_SLOTS) {
		count(ML_COUNTER_STACKS_LOST);
		return ML_STACK_ID_NONE;
	}

	struct stack_scratch *mine = &cpu->slot[slot];
	long bytes = bpf_get_stack(ctx, mine->raw, RAW_FRAMES * 8, 0);
	u64 id = ML_STACK_ID_NONE;

	if (bytes <= 0)
		count(ML_COUNTER_STACKS_FAULT);
	else if (block->key.reserved == ML_KERNEL_PAGES && is_nested(cfg, mine->raw))
		id = 0;
	else
		id = stack_keep(&mine->record,
				stack_cut(cfg, mine, (u32)bytes / 8, block->call_site));
	slot_release(cpu, slot);
	return id;
}

/* The site of stack *@id, made when it is new; *@id becomes ML_STACK_ID_NONE when it cannot be. */
static __always_inline struct ml_site_record *site_get(u64 *id)
{
	struct ml_site_record *site = bpf_map_lookup_elem(&sites, id);

	if (site)
		return site;

	struct ml_site_record fresh = {};

	bpf_map_update_elem(&sites, id, &fresh, BPF_NOEXIST);
	site = bpf_map_lookup_elem(&sites, id);
	if (site)
		return site;
	count(ML_COUNTER_SITE_TABLE_FULL);
	*id = ML_STACK_ID_NONE; /* made by the tool before we were attached */
	return bpf_map_lookup_elem(&sites, id);
}

/* Puts the block into the live table. A record still there is of a free we did not see (freed in
 * bulk, or by RCU): the address being given out again proves it. */
static __always_inline bool block_insert(const struct ml_live_key *key,
					 const struct ml_live_record *record)
{
	long err = bpf_map_update_elem(&live, key, record, BPF_NOEXIST);
	u64 size;

	if (err == -EEXIST) {
		block_remove(key, &size);
		err = bpf_map_update_elem(&live, key, record, BPF_NOEXIST);
	}
	if (err)
		count(err == -E2BIG ? ML_COUNTER_LIVE_TABLE_FULL : ML_COUNTER_CALLS_MISSED);
	return !err;
}

static __always_inline bool is_wanted(const struct ml_kernel_config *cfg, struct cpu_scratch *cpu,
				      const struct allocation *block)
{
	if (block->size < cfg->common.min_size || block->size > cfg->common.max_size)
		return false;
	if (bpf_get_current_pid_tgid() >> 32 == cfg->tool_tgid)
		return false;
	if (cfg->common.sample_every <= 1)
		return true;
	return __sync_fetch_and_add(&cpu->sampled, 1) % cfg->common.sample_every == 0;
}

static __always_inline int book_alloc(void *ctx, const struct allocation *block)
{
	const struct ml_kernel_config *cfg = config_get();
	u32 zero = 0;
	struct cpu_scratch *cpu = bpf_map_lookup_elem(&scratch, &zero);
	u64 ignored;

	if (!cfg || !cpu || block->key.address <= ZERO_SIZE_PTR)
		return 0;
	if (cfg->missing_free)
		block_remove(&block->key, &ignored);
	if (!is_wanted(cfg, cpu, block))
		return 0;

	struct ml_live_record record = {
		.size = block->size,
		.weight_bytes = block->size,
		.stack = stack_take(ctx, cfg, cpu, block),
		.tid = (u32)bpf_get_current_pid_tgid(),
		.weight_count = 1,
	};

	if (!record.stack)
		return 0;

	struct ml_site_record *site = site_get(&record.stack);

	record.born_ns = bpf_ktime_get_ns();
	if (!site || !block_insert(&block->key, &record))
		return 0;
	__sync_fetch_and_add(&site->allocs, 1);
	__sync_fetch_and_add(&site->alloc_bytes, block->size);
	call_emit(cfg, block->point, ML_ROLE_MALLOC, block->key.address, block->size);
	return 0;
}

static __always_inline int book_free(u32 point, u32 kind, u64 address)
{
	struct ml_live_key key = {.address = address, .reserved = kind};
	const struct ml_kernel_config *cfg = config_get();
	u64 size = 0;

	if (!cfg || address <= ZERO_SIZE_PTR)
		return 0;
	if (block_remove(&key, &size))
		call_emit(cfg, point, ML_ROLE_FREE, address, size);
	else
		count(ML_SLOT_UNTRACKED_FREES);
	return 0;
}

/* Argument @n, in an instruction of its own: clang would merge the loads of two branches into one
 * at an offset that varies, which the verifier refuses for a context. */
#define ARGUMENT(ctx, n)                                                                           \
	({                                                                                         \
		u64 value;                                                                         \
		asm volatile("%0 = *(u64 *)(%1 + %2)" : "=r"(value) : "r"(ctx), "i"((n)*8));       \
		value;                                                                             \
	})

/* kmalloc(call_site, ptr, [cache,] bytes_req, bytes_alloc, …) */
#define OBJECT_ALLOC(name, NAME, size_at)                                                          \
	SEC("raw_tp/" #name) int trace_##name(u64 *ctx)                                            \
	{                                                                                          \
		struct allocation block = {                                                        \
			.key = {.address = ctx[1], .reserved = ML_KERNEL_OBJECT},                  \
			.size = size_at == 4 ? ARGUMENT(ctx, 4) : ARGUMENT(ctx, 3),                \
			.call_site = ctx[0],                                                       \
			.point = ML_KERNEL_##NAME,                                                 \
		};                                                                                 \
                                                                                                   \
		return book_alloc(ctx, &block);                                                    \
	}

OBJECT_ALLOC(kmalloc, KMALLOC, kmalloc_size_at)
OBJECT_ALLOC(kmalloc_node, KMALLOC_NODE, kmalloc_node_size_at)

/* kmem_cache_alloc(call_site, ptr, cache, …), before Linux 5.19 as kmalloc */
#define CACHE_ALLOC(name, NAME, size_at)                                                           \
	SEC("raw_tp/" #name) int trace_##name(u64 *ctx)                                            \
	{                                                                                          \
		struct allocation block = {                                                        \
			.key = {.address = ctx[1], .reserved = ML_KERNEL_OBJECT},                  \
			.call_site = ctx[0],                                                       \
			.point = ML_KERNEL_##NAME,                                                 \
		};                                                                                 \
                                                                                                   \
		if (size_at)                                                                       \
			block.size = ARGUMENT(ctx, 3);                                             \
		else                                                                               \
			block.size = BPF_CORE_READ((struct kmem_cache *)ctx[2], size);             \
		return book_alloc(ctx, &block);                                                    \
	}

CACHE_ALLOC(kmem_cache_alloc, KMEM_CACHE_ALLOC, cache_alloc_size_at)
CACHE_ALLOC(kmem_cache_alloc_node, KMEM_CACHE_ALLOC_NODE, cache_alloc_node_size_at)

SEC("raw_tp/mm_page_alloc") int trace_mm_page_alloc(u64 *ctx)
{
	const struct ml_kernel_config *cfg = config_get();
	struct allocation block = {
		.key = {.address = ctx[0], .reserved = ML_KERNEL_PAGES},
		.point = ML_KERNEL_MM_PAGE_ALLOC,
	};

	if (!cfg)
		return 0;
	block.size = (u64)cfg->page_size << ((u32)ctx[1] & 31);
	return book_alloc(ctx, &block);
}

/* percpu_alloc_percpu(call_site, reserved, is_atomic, size, align, base, off, ptr, bytes_alloc,
 * gfp); before Linux 5.19 (reserved, is_atomic, size, align, base, off, ptr) */
SEC("raw_tp/percpu_alloc_percpu") int trace_percpu_alloc_percpu(u64 *ctx)
{
	const struct ml_kernel_config *cfg = config_get();
	struct allocation block = {
		.key = {.reserved = ML_KERNEL_PERCPU},
		.point = ML_KERNEL_PERCPU_ALLOC_PERCPU,
	};

	if (!cfg)
		return 0;
	if (percpu_has_call_site) {
		block.call_site = ARGUMENT(ctx, 0);
		block.key.address = ARGUMENT(ctx, 7);
		block.size = ARGUMENT(ctx, 8);
	} else {
		block.key.address = ARGUMENT(ctx, 6);
		block.size = ARGUMENT(ctx, 2) * cfg->cpu_count;
	}
	return book_alloc(ctx, &block);
}

SEC("raw_tp/kfree") int trace_kfree(u64 *ctx)
{
	return book_free(ML_KERNEL_KFREE, ML_KERNEL_OBJECT, ctx[1]);
}

SEC("raw_tp/kmem_cache_free") int trace_kmem_cache_free(u64 *ctx)
{
	return book_free(ML_KERNEL_KMEM_CACHE_FREE, ML_KERNEL_OBJECT, ctx[1]);
}

SEC("raw_tp/mm_page_free") int trace_mm_page_free(u64 *ctx)
{
	return book_free(ML_KERNEL_MM_PAGE_FREE, ML_KERNEL_PAGES, ctx[0]);
}

SEC("raw_tp/percpu_free_percpu") int trace_percpu_free_percpu(u64 *ctx)
{
	return book_free(ML_KERNEL_PERCPU_FREE_PERCPU, ML_KERNEL_PERCPU, ctx[2]);
}

/* Run once by the tool: its process id as the kernel knows it, whatever pid namespace it is in. */
SEC("raw_tp") int learn_tool_tgid(void *ctx)
{
	return (int)(bpf_get_current_pid_tgid() >> 32);
}

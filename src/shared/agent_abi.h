/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * What the agent inside a target and the tool say to each other: one memory file, mapped in both.
 *
 * The memory is sparse: what is not used costs address space only. Whoever finds it in a process
 * (by the name of its mapping) can take the agent out again with what the header says, so a tool
 * that was killed leaves nothing that cannot be undone.
 */
#ifndef ML_SHARED_AGENT_ABI_H
#define ML_SHARED_AGENT_ABI_H

#include "shared/counters.h"
#include "shared/trace_abi.h"
#include "shared/types.h"
#include "shared/unwind_rows.h"

#define ML_AGENT_MAGIC   0x746e6567616b6c6dull
#define ML_AGENT_VERSION 1u
/** The memory file's name: /memfd:memleak-agent (deleted) in the maps. */
#define ML_AGENT_MEMORY_NAME "memleak-agent"

#define ML_AGENT_PAGE        4096u
#define ML_AGENT_PATCHES     128u /**< functions patched in one process */
#define ML_AGENT_PATCH_BYTES 5u   /**< jmp rel32 */
#define ML_AGENT_ISLANDS     16u  /**< pages of stubs near the patched modules */

#define ML_AGENT_STACKS      (1u << 18) /**< slots of the stack table; half of them are used */
#define ML_AGENT_WORDS       (1u << 22) /**< addresses in all stacks */
#define ML_AGENT_MAP_EVENTS  (1u << 14)
#define ML_AGENT_THREADS     1024u
#define ML_AGENT_TRACES      128u
#define ML_AGENT_TRACE_WORDS 96u
#define ML_AGENT_ROWS        (1u << 20)
#define ML_AGENT_ROW_PAGES   (1u << 18)
#define ML_AGENT_BLOCKS      3u  /**< blocks of one bucket */
#define ML_AGENT_PROBES      64u /**< buckets looked at for one address */

/** Without a heartbeat for so long the agent lets every call through. */
#define ML_AGENT_LAPSE_NS 10000000000ull

enum ml_agent_mode {
	ML_AGENT_OFF,    /**< not yet, or no longer */
	ML_AGENT_ON,     /**< calls are booked */
	ML_AGENT_LAPSED, /**< the tool's heartbeat stopped: off for good */
};

/** What a stub pushes for its function; lies beside it, in memory that a forked child keeps. */
struct ml_agent_descriptor {
	uint64_t trampoline; /**< the function's first instructions, then back into it */
	uint32_t role;       /**< enum ml_role */
	uint32_t reserved;
};

/** A patched function. */
struct ml_agent_patch {
	uint64_t address;
	uint8_t original[8]; /**< of which ML_AGENT_PATCH_BYTES are replaced */
	uint8_t patched[8];
};

struct ml_agent_range {
	uint64_t start;
	uint64_t size;
};

/** A live block. */
struct ml_agent_block {
	uint64_t address; /**< 0 free, 1 being written */
	uint64_t size;
	uint64_t born_ns;
	uint32_t stack; /**< index into stacks and sites */
	uint32_t tid;
	uint32_t points; /**< sampling by bytes: sampling points in it; else 0 */
	uint32_t reserved;
};

struct ml_agent_bucket {
	uint32_t overflow; /**< blocks that belong here or before and stand behind */
	uint32_t reserved;
	struct ml_agent_block block[ML_AGENT_BLOCKS];
};

/** A stack: count addresses from words[first] on, innermost first. */
struct ml_agent_stack {
	uint64_t hash; /**< 0: unused */
	uint32_t first;
	uint16_t count; /**< 0 while it is being written */
	uint16_t end;   /**< enum ml_walk_end */
};

/** What was ever allocated through a stack, weighted. What is freed is that minus what lives. */
struct ml_agent_site {
	uint64_t allocs;
	uint64_t alloc_bytes;
};

struct ml_agent_map_event {
	uint64_t sequence; /**< its number + 1 once it is written */
	struct ml_map_event event;
};

struct ml_agent_word {
	uint64_t address;
	uint64_t value;
};

/** A stack walk and every word it depended on: unchanged words mean the same stack. */
struct ml_agent_trace {
	uint64_t ip; /**< 0: unused */
	uint64_t sp;
	uint64_t bp; /**< counts only when uses_bp */
	uint32_t uses_bp;
	uint32_t epoch;
	uint32_t stack;
	uint32_t count;
	struct ml_agent_word words[ML_AGENT_TRACE_WORDS]; /**< in the order the walk read them */
};

/** What a thread keeps to itself. */
struct ml_agent_thread {
	uint64_t pointer; /**< its thread pointer (fs base); 0: unused */
	uint64_t call;    /**< address of its call in progress, 0 = none */
	uint32_t tid;
	uint32_t is_walking;
	uint64_t seen_ns;    /**< heartbeat last seen … */
	uint64_t seen_count; /**< … and in how many calls */
	uint64_t events;
	uint64_t untracked_frees;
	uint64_t nth;
	int64_t byte_budget;
	uint64_t random;
	uint64_t stack_low, stack_high; /**< memory known to be readable */
	uint64_t traces_hit, traces_missed;
	uint64_t ip[ML_STACK_DEPTH + 1]; /**< scratch of a walk */
	struct ml_agent_trace traces[ML_AGENT_TRACES] __attribute__((aligned(64)));
};

struct ml_agent_header {
	uint64_t magic;
	uint32_t version;
	uint32_t mode;    /**< enum ml_agent_mode */
	uint64_t size;    /**< of the whole memory */
	uint64_t address; /**< where the target has it */
	struct ml_agent_range image;
	struct ml_agent_range islands[ML_AGENT_ISLANDS];
	uint32_t island_count;
	uint32_t patch_count;
	uint64_t pointer;  /**< where in the target the agent has the memory's address */
	uint64_t returned; /**< where functions return to that were called by the agent */
	struct ml_agent_patch patches[ML_AGENT_PATCHES];
};

/** The whole memory. */
struct ml_agent_memory {
	struct ml_agent_header header;
	struct ml_trace_config config __attribute__((aligned(4096)));
	uint64_t bucket_mask;
	uint32_t tgid;      /**< the process, as the tool numbers it */
	uint32_t is_static; /**< allocator and program are one module */
	uint32_t stack_limit;
	uint32_t epoch; /**< changes with the unwind tables */
	uint32_t maps_current;
	uint32_t reserved;
	uint64_t now_ns __attribute__((aligned(64))); /**< CLOCK_MONOTONIC, the tool's heartbeat */
	uint64_t word_count __attribute__((aligned(64)));
	uint64_t stack_count;
	uint64_t map_event_head __attribute__((aligned(64)));
	uint64_t map_event_tail;
	uint64_t counters[ML_SLOT_COUNT] __attribute__((aligned(64)));
	struct ml_process_maps maps[2] __attribute__((aligned(4096)));
	struct ml_agent_stack stacks[ML_AGENT_STACKS] __attribute__((aligned(4096)));
	struct ml_agent_site sites[ML_AGENT_STACKS];
	uint64_t words[ML_AGENT_WORDS];
	struct ml_agent_map_event map_events[ML_AGENT_MAP_EVENTS];
	uint64_t rows[ML_AGENT_ROWS] __attribute__((aligned(4096)));
	uint64_t row_pages[ML_AGENT_ROW_PAGES];
	struct ml_agent_thread threads[ML_AGENT_THREADS] __attribute__((aligned(4096)));
	struct ml_agent_bucket buckets[] __attribute__((aligned(4096)));
};

_Static_assert(sizeof(struct ml_agent_bucket) == 128, "two cache lines");
_Static_assert(sizeof(struct ml_agent_header) <= 8192, "the header is copied whole");

/** First bytes of the agent's image. Offsets are from its start. */
struct ml_agent_image_header {
	uint64_t magic;
	uint32_t entry;    /**< where stubs jump to */
	uint32_t returned; /**< where functions return to that the agent called */
	uint32_t data;     /**< the one writable page; holds the memory's address */
	uint32_t reserved;
};

#endif

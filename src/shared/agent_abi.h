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

#include <stdbool.h>

#define ML_AGENT_MAGIC   0x746e6567616b6c6dull
#define ML_AGENT_VERSION 23u
/** The memory file's name: /memfd:memleak-agent (deleted) in the maps. */
#define ML_AGENT_MEMORY_NAME "memleak-agent"
#define ML_AGENT_PAGE        4096u
/* The image: a spare page, one of data, two of a kind that matters on old kernels (inject/place.c),
 * then the code. */
#define ML_AGENT_IMAGE_DATA   ML_AGENT_PAGE
#define ML_AGENT_IMAGE_CODE   (4 * ML_AGENT_PAGE)
#define ML_AGENT_PATCHES      192u /**< functions and words patched in one process */
#define ML_AGENT_PATCH_BYTES  5u   /**< jmp rel32 */
#define ML_AGENT_WORD_BYTES   8u
#define ML_AGENT_ISLANDS      16u /**< pages of stubs near the patched modules */
#define ML_AGENT_STOPS        8u

#define ML_AGENT_STACKS       (1u << 20) /**< stacks, numbered from 1 */
#define ML_AGENT_WORDS        (1u << 24) /**< addresses in all stacks */
#define ML_AGENT_MAP_EVENTS   (1u << 14)
#define ML_AGENT_CALL_EVENTS  (1u << 17)
#define ML_AGENT_ROWS         (1u << 22) /**< as many as in the kernel: rustc has 2 million */
#define ML_AGENT_ROW_PAGES    (1u << 19)
#define ML_AGENT_ROW_CACHE    (1u << 16)

#define ML_AGENT_THREADS      4096u
#define ML_AGENT_TIDS         (1u << 13)
#define ML_AGENT_OTHER_STACKS 7u
#define ML_AGENT_RECENT       (1u << 14) /**< places of blocks a thread remembers, … */
#define ML_AGENT_RECENT_FIRST (1u << 11) /**< … how many at first, … */
#define ML_AGENT_RECENT_ALL   (1u << 21) /**< … and all threads beyond those: 16 MiB */
#define ML_AGENT_TRACE_WAYS   8u
#define ML_AGENT_TRACES       2048u  /**< walks a thread remembers, */
#define ML_AGENT_TRACE_WORDS  24576u /**< with so many words for all of them */
#define ML_AGENT_TRACE_LIMIT  256u   /**< words of one walk, … */
#define ML_AGENT_TRACE_ROOM   8u     /**< … which get room by so many */
#define ML_AGENT_MISSES       2048u  /**< walks it did not remember and may meet again */
#define ML_AGENT_NUMBERS      4096u  /**< stacks it knows without the index */
#define ML_AGENT_FRAMES       256u   /**< of its last walk, more than are kept of a stack, … */
#define ML_AGENT_FRAME_WORDS  768u   /**< … and words these depend on */
#define ML_AGENT_PYTHON_WALKS 1024u  /**< stacks with Python functions a thread remembers */
#define ML_AGENT_PAGE_SETS    64u    /**< sets of pages it knows to be readable */
#define ML_AGENT_PAGE_WAYS    4u

/* The live blocks, by address: a page of regions for 64 MiB, lines of blocks for a region. */
#define ML_AGENT_ADDRESS_BITS  47u
#define ML_AGENT_REGION_SHIFT  16u
#define ML_AGENT_PAGE_SHIFT    26u
#define ML_AGENT_PAGE_REGIONS  (1u << (ML_AGENT_PAGE_SHIFT - ML_AGENT_REGION_SHIFT))
#define ML_AGENT_TOPS          (1u << (ML_AGENT_ADDRESS_BITS - ML_AGENT_PAGE_SHIFT))
#define ML_AGENT_PAGES         (1u << 14) /**< 1 TiB of addresses with blocks in them */
#define ML_AGENT_LINE_BLOCKS   5u
#define ML_AGENT_LINES         (1u << 24) /**< unless the user sets a limit: 50 million blocks */
#define ML_AGENT_LARGE         (1u << 22) /**< blocks that do not fit their line */
#define ML_AGENT_LARGE_RUN     256u       /**< those of a region are near each other, … */
#define ML_AGENT_LARGE_PROBES  4096u      /**< … in so many places */
#define ML_AGENT_LARGE_BYTES   (1u << 18)
#define ML_AGENT_FILTER        (1u << 16)
#define ML_AGENT_FILTER_OTHERS 0x80u
#define ML_AGENT_SIEVE         256u          /**< words of 32 bits, each of them for … */
#define ML_AGENT_SIEVE_COUNTS  8u            /**< … so many bytes of the filter */
#define ML_AGENT_SIEVE_ALL     0xffffffffull /**< all bits of a word */
#define ML_AGENT_SIEVE_CHANGE  (1ull << 32)
#define ML_AGENT_PRIOR         (1u << 22) /**< places for blocks that another tracer booked, … */
#define ML_AGENT_PRIOR_PROBES  64u        /**< … each in one of so many behind each other */
#define ML_AGENT_FREED         (1u << 20)

/* Where a thread's tid has been for long: pthread.tid of glibc 2.10 (nptl/descr.h) and of musl 1.2
 * (src/internal/pthread_impl.h). Elsewhere a small number might be something else. */
#define ML_AGENT_TID_GLIBC   720u
#define ML_AGENT_TID_MUSL    48u
#define ML_AGENT_TID_TELLING 4096u

/** Without a heartbeat for so long the agent lets every call through. */
#define ML_AGENT_LAPSE_NS 10000000000ull

enum ml_agent_mode {
	ML_AGENT_OFF,    /**< not yet, or no longer */
	ML_AGENT_ON,     /**< calls are booked */
	ML_AGENT_LAPSED, /**< the tool's heartbeat stopped: off for good */
};

/** System calls of the agent that a filter may forbid; there is another way for each. */
enum ml_agent_call {
	ML_AGENT_CALL_GETTID = 1 << 0,
	ML_AGENT_CALL_TGKILL = 1 << 1, /**< with getpid(), whose result it takes */
	ML_AGENT_CALL_NANOSLEEP = 1 << 2,
	ML_AGENT_CALL_CLOCK_GETTIME = 1 << 3,
	ML_AGENT_CALL_RT_SIGPROCMASK = 1 << 4,
	ML_AGENT_CALL_FUTEX = 1 << 5, /**< in its stead */
	ML_AGENT_CALL_FUTEX_WAKE = 1 << 6,
	ML_AGENT_CALLS_ALL = (1 << 7) - 1,
};

/** What a stub pushes for its function; lies beside it, in memory that a forked child keeps. */
struct ml_agent_descriptor {
	uint64_t trampoline; /**< the function's first instructions, then back into it */
	/** Of a function that may throw: the trampoline of one that allocates the same and does
	 * not, which is called in its stead; 0 = none. */
	uint64_t substitute;
	uint32_t role;     /**< enum ml_role */
	uint16_t swapped;  /**< the substitute takes the first two arguments the other way round */
	uint16_t function; /**< its name's number, for --trace */
};

/** What was written over: a function's first bytes, or a word of a module's global offset table
 * that led to the function. */
struct ml_agent_patch {
	uint64_t address;
	uint8_t original[8];
	uint8_t patched[8];
	uint32_t size; /**< ML_AGENT_PATCH_BYTES, or ML_AGENT_WORD_BYTES of a table's word */
	uint32_t reserved;
};

struct ml_agent_range {
	uint64_t start;
	uint64_t size;
};

/*
 * A live block in 12 bytes. The key is ML_AGENT_KEY_USED, the number of its stack, and its place
 * in its region in units of 8 bytes. The size has the number of the thread's tid beside it, or
 * with ML_AGENT_SIZE_LARGE it is the number of an ml_agent_large. The birth has the address's
 * lowest 3 bits beside it.
 */
#define ML_AGENT_KEY_USED  (1u << 31)
#define ML_AGENT_KEY_BUSY  1u /**< taken and not yet written */
#define ML_AGENT_KEY_PLACE ((1u << (ML_AGENT_REGION_SHIFT - 3)) - 1)
#define ML_AGENT_KEY_STACK (ML_AGENT_REGION_SHIFT - 3)
/** Stacks from this number on do not fit: those blocks have an ml_agent_large. */
#define ML_AGENT_KEY_STACKS (1u << 17)
/** The block was sampled by bytes and stands for others, too; the same with a stack's number. */
#define ML_AGENT_KEY_SAMPLED   (1u << 30)
#define ML_AGENT_STACK_SAMPLED (1u << 31)
#define ML_AGENT_SIZE_LARGE    (1u << 31)
#define ML_AGENT_SIZE_TID      18u
#define ML_AGENT_BORN_SHIFT    3u
#define ML_AGENT_TICK_SHIFT    24u /**< births are in units of 17 ms, for 104 days */

/** Blocks of one region that are near each other by hash: a cache line. */
struct ml_agent_line {
	uint32_t key[ML_AGENT_LINE_BLOCKS]; /**< 0 free */
	uint32_t size[ML_AGENT_LINE_BLOCKS];
	uint32_t born[ML_AGENT_LINE_BLOCKS];
	/** ML_AGENT_LINE_SPILLED; in the first line of a table also the region's next table. */
	uint32_t more;
} __attribute__((aligned(64)));

/** How many blocks that should be here are in lines near it: up to its highest here, what goes
 * beyond that in the bits above it. A table's first line has no such bits: there it stays at its
 * highest. */
#define ML_AGENT_LINE_SPILLED 7u

/*
 * A block's place in its region times one of these are 32 bits, the upper ones of which say its
 * line. In the order of addresses, blocks that lie together, and were mostly allocated together,
 * share a line; those of one size fill them evenly, mixed ones well enough. Slabs, of many small
 * blocks beside few large ones, have to be spread; by multiples of the golden ratio the blocks of
 * one are spread evenly (Knuth, vol. 3, 6.4).
 */
#define ML_AGENT_LINES_ORDERED (1u << (32 - ML_AGENT_REGION_SHIFT + 3))
#define ML_AGENT_LINES_SPREAD  0x9e3779b1u

/** A table of lines: its first line, log2 of their number, whether only the thread that owns the
 * region puts blocks in; 0 none. */
#define ML_AGENT_TABLE_OWNED 8u
#define ML_AGENT_TABLE(first, log2, owned)                                                         \
	((first) << 8 | (log2) << 4 | ((owned) ? ML_AGENT_TABLE_OWNED : 0u))
#define ML_AGENT_TABLE_FIRST(table) ((table) >> 8)
#define ML_AGENT_TABLE_LOG2(table)  ((table) >> 4 & 15u)

/** A region: its first table, above it the owner's own_key (0: nobody's), whether there is another
 * table behind the first, and whether of an owner's region one of them is not the owner's. */
#define ML_AGENT_CELL_OWNER   32u
#define ML_AGENT_CELL_MIXED   (1ull << 62)
#define ML_AGENT_CELL_CHAINED (1ull << 63)

struct ml_agent_large {
	uint64_t size; /**< + 1; 0 unused */
	uint32_t tid;
	uint32_t stack;
};

/*
 * What finds a stack by its hash: 64 bits each, the hash's upper ones and the number. A small table
 * for the first stacks, and larger ones for those that come when it is half full.
 */
#define ML_AGENT_INDEX_LEVELS   3u
#define ML_AGENT_INDEX_NUMBER   (ML_AGENT_STACKS - 1)
#define ML_AGENT_INDEX_SHIFT(i) (15u + 3 * (i))
/** Slots before those of level i. */
#define ML_AGENT_INDEX_FIRST(i) (((1u << 3 * (i)) - 1) / 7 << 15)
#define ML_AGENT_STACK_INDEX    ML_AGENT_INDEX_FIRST(ML_AGENT_INDEX_LEVELS)

/*
 * In a stack's end: it runs through a Python eval loop, or ends before it may have come to one. And
 * of a stack with Python functions, whose words are the number of the native stack and then struct
 * ml_python_frame, innermost first.
 */
#define ML_AGENT_STACK_LOOP   (1u << 14)
#define ML_AGENT_STACK_PYTHON (1u << 15)
/** In a trace's: its stack's number does not fit a key, so the short ways leave it alone. */
#define ML_AGENT_STACK_LATE     (1u << 13)
#define ML_AGENT_STACK_END(end) ((end) & (ML_AGENT_STACK_LATE - 1))

/** A stack: own addresses from words[first] on, innermost first, then those of another stack, the
 * first ones of which are skipped: count in all. */
struct ml_agent_stack {
	uint64_t hash;
	uint32_t first;
	uint32_t outer; /**< the other stack; 0 none */
	uint16_t count;
	uint16_t own;
	uint16_t skip;
	uint16_t end; /**< enum ml_walk_end, ML_AGENT_STACK_* */
};

/**
 * What was ever allocated through a stack; the rest is in the threads' traces. What is freed is
 * that minus what lives. Of what was sampled by bytes both are estimates, allocs times 65536.
 */
struct ml_agent_site {
	uint64_t allocs;
	uint64_t alloc_bytes;
};

/** A block of another tracer's books, by address: it lives, or was freed. */
#define ML_AGENT_PRIOR_ALIVE(address) ((uint64_t)(address) << 1 | 1)
#define ML_AGENT_PRIOR_DEAD(address)  ((uint64_t)(address) << 1)

/** Where the sieve has the block of @p address; the short ways compute the same. */
static inline uint32_t ml_agent_sieve_word(uint64_t address)
{
	return (uint32_t)address * 0x9e3779b1u >> 24;
}

static inline uint32_t ml_agent_sieve_bit(uint64_t address)
{
	return (uint32_t)address * 0x85ebca6bu >> 27;
}

/** Where the filter counts it: the bytes of one bit of the sieve are beside each other. */
static inline uint32_t ml_agent_filter_index(uint64_t address)
{
	return (ml_agent_sieve_word(address) << 5 | ml_agent_sieve_bit(address)) << 3 |
	       ((uint32_t)address * 0x9e3779b1u >> 21 & (ML_AGENT_SIEVE_COUNTS - 1));
}

/** The first place where the block of @p address may be. */
static inline uint32_t ml_agent_prior_first(uint64_t address)
{
	return (uint32_t)((address >> 4) * 0x9e3779b97f4a7c15ull >> 42);
}

struct ml_agent_map_event {
	uint64_t sequence; /**< its number + 1 once it is written */
	struct ml_map_event event;
};

/** One call, for --trace. */
struct ml_agent_call_event {
	uint64_t sequence; /**< its number + 1 once it is written */
	uint64_t time_ns;  /**< CLOCK_MONOTONIC */
	uint64_t size;
	uint64_t address;
	uint64_t old_address; /**< realloc, mremap */
	uint32_t tid;         /**< in the target's pid namespace */
	uint16_t role;        /**< enum ml_role */
	uint16_t function;
};

/** A row that was looked for; valid when the two words together give what was asked. */
struct ml_agent_cached_row {
	uint64_t check;
	uint64_t row;
};

/**
 * A stack walk and every word it depended on: unchanged words mean the same stack. Also the books
 * of that stack that are not in its site yet.
 */
struct ml_agent_trace {
	uint64_t ip; /**< 0: unused */
	uint64_t sp;
	uint64_t bp; /**< counts only when uses_bp */
	uint32_t stack;
	uint32_t first; /**< of its words */
	uint32_t reach; /**< the last one's distance from sp */
	uint32_t epoch;
	uint16_t count;
	uint8_t room; /**< words it may use, ML_AGENT_TRACE_ROOM of them a unit */
	uint8_t uses_bp;
	uint16_t python; /**< index of the python_traces that went with it last */
	uint16_t end;    /**< enum ml_walk_end */
	uint64_t allocs;
	uint64_t alloc_bytes;
};

/** A frame on the stack, and what a walk from there on outwards comes to. */
struct ml_agent_frame {
	uint64_t ip; /**< with ML_STACK_IP_INTERRUPTED */
	uint64_t sp;
	uint64_t bp;
	uint64_t entry; /**< what is kept of it in a stack */
	uint64_t hash;  /**< of the entries of the frame and those further out */
	uint32_t words; /**< how many words these depend on */
	uint16_t loops; /**< how many of them are Python eval loops */
	uint16_t flags; /**< ML_AGENT_FRAME_* */
};

/** The steps from there on need what rbp is. */
#define ML_AGENT_FRAME_NEEDS_BP 1u
/** The frame's last word is a saved rbp, … */
#define ML_AGENT_FRAME_SAVED_BP 2u
/** … which is needed further out. */
#define ML_AGENT_FRAME_KEEPS_BP 4u
/** The steps from there on need what rbx is, which is not kept. */
#define ML_AGENT_FRAME_NEEDS_BX 8u

/** A word of the stack, and what it was. */
struct ml_agent_word {
	uint64_t address;
	uint64_t value;
};

/** The frames of a thread's last walk, the outermost first, with the words that they depend on. */
struct ml_agent_course {
	uint32_t count; /**< 0: none */
	uint32_t epoch;
	uint32_t end;   /**< enum ml_walk_end; ML_WALK_DEPTH: there are more frames … */
	uint32_t stack; /**< its number, 0 none */
	uint64_t hash;  /**< … with this hash */
	uint64_t low;   /**< the words are between these addresses */
	uint64_t high;
	struct ml_agent_frame frames[ML_AGENT_FRAMES];
	struct ml_agent_word words[ML_AGENT_FRAME_WORDS];
};

/** What a thread knows of its Python functions. */
struct ml_agent_python {
	/** When the frames last gone through could be read: it can be again; ML_AGENT_UNSEEN: none.
	 */
	uint32_t seen_age;
	uint32_t word_bytes; /**< of words: as long as they are the same, so are the frames … */
	uint64_t outer_hash; /**< … with this hash of all but the newest, … */
	/** … of which these may change: where they are. */
	uint64_t code_at, instruction_at, mark_at;
	uint32_t mark_value; /**< what the byte at mark_at is in a frame that is marked */
	uint32_t frame_count;
	struct ml_agent_word words[3 + 2 * 2 * ML_PYTHON_DEPTH];
	uint64_t frames[2 * ML_PYTHON_DEPTH]; /**< their addresses, the newest first */
	uint64_t state;                       /**< its PyThreadState, 0: not found */
	uint64_t lost;                        /**< how often it was not found */
	/** Pages that could be read: number << 16 | when. */
	uint64_t pages[ML_AGENT_PAGE_SETS][ML_AGENT_PAGE_WAYS];
	/* Scratch of a walk: what becomes the words of a stack. */
	struct {
		uint64_t native;
		struct ml_python_frame frames[ML_PYTHON_DEPTH];
	} found;
};

/** In seen_age, where no 16 bits are. */
#define ML_AGENT_UNSEEN (1u << 16)

/** What a thread remembers. */
struct ml_agent_memo {
	/** By address: the place where its block is, or was before it was freed, and the address's
	 * upper bits (RECENT_… in agent/x86_64/offsets.h). */
	uint64_t recent[ML_AGENT_RECENT];
	struct ml_agent_trace traces[ML_AGENT_TRACES];
	/** In the order the walks read them: value << 16 | distance from sp / 8. */
	uint64_t words[ML_AGENT_TRACE_WORDS];
	/** Other stacks the thread ran on (coroutines, signal stacks). */
	struct ml_agent_range other_stacks[ML_AGENT_OTHER_STACKS];
	/* Scratch of a walk, and whether one is using it. */
	uint64_t is_walking;
	uint64_t ip[ML_STACK_DEPTH + 1];
	struct ml_agent_frame new_frames[ML_AGENT_FRAMES]; /**< innermost first */
	struct ml_agent_word new_words[ML_AGENT_FRAME_WORDS];
	/** Of walks that are not kept as traces: hashes of their stack and its place. */
	uint32_t misses[ML_AGENT_MISSES];
	/** By hash: slots of the index of stacks. */
	uint64_t numbers[ML_AGENT_NUMBERS];
	struct ml_agent_course course;
	struct ml_agent_python python __attribute__((aligned(4096)));
	/** Of stacks with Python functions: ip is a hash of those, sp the native stack's number. */
	struct ml_agent_trace python_traces[ML_AGENT_PYTHON_WALKS] __attribute__((aligned(4096)));
} __attribute__((aligned(4096)));

/** What a thread keeps to itself. */
struct ml_agent_thread {
	uint64_t pointer; /**< its thread pointer (fs base); 0: unused */
	uint64_t call;    /**< address of its call in progress, 0 = none */
	uint64_t events;
	/** --sample-bytes: all calls of less bytes in all are not kept; 0: not known */
	uint64_t byte_budget;
	/** Where the last call stood that was let pass and may call malloc, and its return address.
	 */
	uint64_t passing_sp;
	uint64_t passing_ip;
	uint64_t walker; /**< sp of a walk in progress, 0 = none */
	uint64_t untracked_frees;
	struct ml_agent_range stack; /**< memory known to be readable around its sp */
	uint32_t tid;
	uint32_t tid_number; /**< its index in tids */
	uint32_t tid_offset; /**< where the C library keeps the tid behind the pointer; 0 unknown */
	uint32_t trace_pages; /**< a bit for each page of traces in use */
	union {
		uint64_t nth; /**< of --sample N */
		struct {
			uint32_t is_step; /**< no sampling point is where the budget ends */
			uint32_t beat;    /**< what events was when the heartbeat was felt */
		};
	};
	uint64_t random;
	uint64_t walks;
	struct ml_agent_memo *memo; /**< in the target */
	uint32_t words_used;
	uint32_t own_key;         /**< its place in threads, + 1 */
	uint32_t python_pages;    /**< like trace_pages, for those with Python functions */
	uint32_t tid_bits;        /**< tid_number as it is in a block's size */
	uint32_t recent_mask;     /**< of what it remembers of places: the last index, in bytes */
	uint32_t forgotten;       /**< frees of blocks whose places it did not remember … */
	uint64_t forgotten_since; /**< … since so many events */
} __attribute__((aligned(256)));

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
	uint32_t grows; /**< the page of data appears in forked children by growth */
	/** Where the C library keeps a thread's tid behind its pointer, as seen in one thread; 0
	 * not known. It saves new threads a system call, for which a later filter might kill. */
	uint32_t tid_offset;
	/** Bits of enum ml_agent_call: what a filter of system calls does not let pass. */
	uint32_t denied;
	/** All are denied for a filter that was seen and is not looked at yet. */
	uint32_t is_suspect;
	uint32_t main_tid;  /**< as the target knows it */
	uint32_t remover;   /**< who put the functions back last, and is to unmap it; 0 nobody */
	uint64_t stack_end; /**< of the main thread's stack; 0 not known */
	uint64_t pointer;   /**< where in the target the agent has the memory's address */
	uint64_t returned;  /**< where functions return to that were called by the agent */
	uint64_t longest_stop_ns;         /**< how long threads were stopped at most … */
	uint64_t stops;                   /**< … and how often; */
	uint64_t stop_ns[ML_AGENT_STOPS]; /**< the first ones */
	struct ml_agent_patch patches[ML_AGENT_PATCHES];
};

/** How many islands and patches there are: the target can write any number there, at any time, so a
 * loop takes it once. */
static inline uint32_t ml_agent_islands(const struct ml_agent_header *header)
{
	uint32_t count = __atomic_load_n(&header->island_count, __ATOMIC_RELAXED);

	return count < ML_AGENT_ISLANDS ? count : ML_AGENT_ISLANDS;
}

/** In the agent's code, in a stub, or in what was moved behind one, which is of the function. */
static inline bool ml_agent_has_code(const struct ml_agent_header *header, uint64_t ip)
{
	if (ip - header->image.start < header->image.size)
		return true;
	for (uint32_t i = 0; i < ml_agent_islands(header); i++)
		if (ip - header->islands[i].start < header->islands[i].size)
			return true;
	return false;
}

static inline uint32_t ml_agent_patches(const struct ml_agent_header *header)
{
	uint32_t count = __atomic_load_n(&header->patch_count, __ATOMIC_RELAXED);

	return count < ML_AGENT_PATCHES ? count : ML_AGENT_PATCHES;
}

/** The whole memory. */
struct ml_agent_memory {
	struct ml_agent_header header;
	struct ml_trace_config config __attribute__((aligned(4096)));
	uint64_t start_ns;     /**< births count from here */
	uint64_t always_bytes; /**< sampling by bytes: blocks of so many are kept; 0: no sampling */
	uint32_t tgid;         /**< the process, as the tool numbers it */
	uint32_t is_static;    /**< allocator and program are one module */
	uint32_t is_exact;     /**< every call is kept */
	uint32_t stack_limit;
	uint32_t line_limit;
	uint32_t epoch;        /**< changes with the unwind tables */
	uint32_t epoch_waited; /**< the tool knows no more code than it has told in this one */
	uint32_t is_listening; /**< the tool hears of new code, and tells of it */
	uint32_t maps_current;
	uint32_t word_limit;                          /**< of all stacks */
	uint32_t line_factor;                         /**< ML_AGENT_LINES_…: never changes */
	uint64_t now_ns __attribute__((aligned(64))); /**< CLOCK_MONOTONIC, the tool's heartbeat */
	uint64_t word_count __attribute__((aligned(64)));
	uint32_t stack_count;
	uint32_t line_count;
	uint32_t page_count;
	uint32_t tid_count;
	uint32_t mean_size;    /**< of blocks lately */
	uint32_t owned_count;  /**< regions that began as a thread's own … */
	uint32_t shared_count; /**< … and those of them where others put blocks too */
	uint32_t unmap_count;  /**< calls that may have unmapped something */
	uint32_t recent_count; /**< places threads remember beyond the first ones */
	uint64_t map_event_head __attribute__((aligned(64)));
	uint64_t map_event_tail;
	uint64_t call_event_head __attribute__((aligned(64)));
	uint64_t call_event_tail __attribute__((aligned(64)));
	uint64_t freed_count
		__attribute__((aligned(64))); /**< of freed; it may be beyond its end */
	uint32_t has_prior;  /**< another tracer's blocks are to be looked for, … */
	uint32_t logs_freed; /**< … and those that are not found, noted in freed */
	/** How often the loader has loaded something; a futex, … */
	uint32_t loads;
	uint32_t loads_heard;    /**< … up to which of them the tool has looked, … */
	uint32_t loads_given_up; /**< … and the last one that did not wait until it had */
	uint64_t counters[ML_SLOT_COUNT] __attribute__((aligned(64)));
	struct ml_process_maps maps[2] __attribute__((aligned(4096)));
	uint32_t tids[ML_AGENT_TIDS] __attribute__((aligned(4096)));
	/** Sampling by bytes: how many sampled blocks there are by hash of their address, and
	 * whether (ML_AGENT_FILTER_OTHERS) there may be others, which only the tool says. */
	union {
		uint8_t filter[ML_AGENT_FILTER];
		/** What a bit of the sieve stands for. */
		uint64_t filter_words[ML_AGENT_FILTER / ML_AGENT_SIEVE_COUNTS];
	};
	struct ml_agent_cached_row row_cache[ML_AGENT_ROW_CACHE];
	uint64_t stack_index[ML_AGENT_STACK_INDEX];
	struct ml_agent_stack stacks[ML_AGENT_STACKS];
	struct ml_agent_site sites[ML_AGENT_STACKS];
	uint64_t words[ML_AGENT_WORDS];
	struct ml_agent_map_event map_events[ML_AGENT_MAP_EVENTS];
	uint64_t rows[ML_AGENT_ROWS] __attribute__((aligned(4096)));
	uint64_t row_pages[ML_AGENT_ROW_PAGES];
	struct ml_agent_thread threads[ML_AGENT_THREADS] __attribute__((aligned(4096)));
	struct ml_agent_memo memos[ML_AGENT_THREADS];
	struct ml_agent_large large[ML_AGENT_LARGE];
	struct ml_agent_site sampled[ML_AGENT_STACKS]; /**< by bytes */
	uint64_t prior[ML_AGENT_PRIOR];                /**< 0: nothing */
	uint64_t freed[ML_AGENT_FREED];
	struct ml_agent_call_event call_events[ML_AGENT_CALL_EVENTS];
	uint32_t tops[ML_AGENT_TOPS] __attribute__((aligned(4096)));
	uint32_t page_tops[ML_AGENT_PAGES]; /**< which top a page belongs to */
	uint64_t pages[ML_AGENT_PAGES][ML_AGENT_PAGE_REGIONS] __attribute__((aligned(4096)));
	struct ml_agent_line lines[] __attribute__((aligned(4096)));
};

_Static_assert(ML_AGENT_SIEVE * 32 * ML_AGENT_SIEVE_COUNTS == ML_AGENT_FILTER, "");
_Static_assert(sizeof(struct ml_agent_line) == 64, "a cache line");
_Static_assert(ML_AGENT_TABLE_FIRST((ML_AGENT_LINES - 1) << 8) == ML_AGENT_LINES - 1,
	       "a table's link holds every line");
_Static_assert(ML_AGENT_PRIOR == 1u << (64 - 42), "what ml_agent_prior_first() gives");
_Static_assert(sizeof(struct ml_agent_trace) == 64, "a cache line");
_Static_assert(sizeof(struct ml_agent_thread) == 256, "whole cache lines");
_Static_assert(sizeof(struct ml_agent_header) <= 8192, "the header is copied whole");
_Static_assert(ML_AGENT_KEY_STACKS << ML_AGENT_KEY_STACK == ML_AGENT_KEY_SAMPLED,
	       "a bit of its own");
_Static_assert(ML_AGENT_STACKS <= 1u << 20, "the index has 44 bits of the hash");
_Static_assert(2 * ML_AGENT_STACKS <= 1u << ML_AGENT_INDEX_SHIFT(ML_AGENT_INDEX_LEVELS - 1),
	       "the index is never full");

/**
 * The one page of the image that can be written, all zero in forked children: these let all calls
 * through.
 *
 * The sieve is the filter in small, what is in the nearest cache: a bit of a word's lower half is
 * set when any of its bytes of the filter may be more than 0. Each setting changes the upper half,
 * too, so that who has found the bytes to be 0 can clear the bit if none was set meanwhile.
 */
struct ml_agent_data {
	struct ml_agent_memory *memory; /**< in the target */
	uint64_t reserved[127];
	uint64_t sieve[ML_AGENT_SIEVE];
	uint64_t scratch[128]; /**< for what is only passing, while attaching */
};

_Static_assert(sizeof(struct ml_agent_data) == ML_AGENT_PAGE, "a page");

/**
 * What most calls are where few are kept, for a slot before its trampoline, in the image's bytes.
 * Otherwise it goes on by the constants at ML_SLOT_SELF and ML_SLOT_LONG.
 */
struct ml_agent_short {
	uint32_t begin;
	uint32_t entered;  /**< where the slot's stub may lead to, instead of the image */
	uint32_t start;    /**< behind room for ML_SLOT_UNDO bytes */
	uint32_t data_end; /**< behind 64 bits that are to be the data's address */
	uint32_t end;
};

/** First bytes of the agent's code. Offsets are from there. */
struct ml_agent_image_header {
	uint64_t magic;
	uint32_t entry;    /**< where stubs jump to, … */
	uint32_t malloc;   /**< … those of functions like malloc that have no substitute, … */
	uint32_t calloc;   /**< … like calloc, … */
	uint32_t realloc;  /**< … like realloc … */
	uint32_t free;     /**< … and those that free */
	uint32_t returned; /**< where functions return to that the agent called */
	int32_t data;      /**< the one writable page, struct ml_agent_data */
	struct ml_agent_short malloc_short, calloc_short, realloc_short, free_short;
};

#endif

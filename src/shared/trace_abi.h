/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/**
 * What the programs in the kernel and the tool say to each other: keys and values of the BPF maps.
 */
#ifndef ML_SHARED_TRACE_ABI_H
#define ML_SHARED_TRACE_ABI_H

#include "shared/counters.h"
#include "shared/types.h"
#include "shared/unwind_rows.h"

#define ML_STACK_DEPTH   127u /**< frames kept of a stack, as bcc's default */
#define ML_PROCESS_MAPS  512u /**< executable mappings of one process in the kernel's table */
#define ML_WINDOW_WORDS  256u /**< words of stack copied at once: one 2 KiB window */
#define ML_STACK_ID_NONE 1u   /**< the id of "stack lost" */
#define ML_PYTHON_DEPTH  64u  /**< Python functions kept of a stack */

/** How long a dynamic loader waits for the tool: reading maps and building rows takes milliseconds,
 * tens of them for a new program; a tool that is stopped or busy with a report is not waited for.
 */
#define ML_LOAD_WAIT_NS 250000000ull

/** What a probed function does: which arguments mean what. The low 8 bits of a probe's cookie. */
enum ml_role {
	ML_ROLE_NONE,
	ML_ROLE_MALLOC,         /**< f(size) */
	ML_ROLE_CALLOC,         /**< f(count, size) */
	ML_ROLE_REALLOC,        /**< f(old, size) */
	ML_ROLE_REALLOCARRAY,   /**< f(old, count, size) */
	ML_ROLE_POSIX_MEMALIGN, /**< f(out, alignment, size): int, the block in *out */
	ML_ROLE_ALIGNED_ALLOC,  /**< f(alignment, size) */
	ML_ROLE_FREE,           /**< f(block, ...) */
	ML_ROLE_MMAP,           /**< f(hint, length, ...) */
	ML_ROLE_MUNMAP,         /**< f(address, length) */
	ML_ROLE_MREMAP,         /**< f(old, old_length, new_length, flags, ...) */
	ML_ROLE_LOADED, /**< f(): the dynamic loader calls it when it has loaded something */
	ML_ROLE_COUNT,
};

/* Cookie of a probe: role, and how many arguments come before the usual ones (je_tcache variants).
 */
#define ML_COOKIE_ROLE(cookie) ((uint32_t)(cookie)&0xffu)
/* The function's id, for --trace: bits 8 to 23. */
#define ML_COOKIE_FUNCTION(cookie) ((uint32_t)((cookie) >> 8) & 0xffffu)
/* The process, as the tool sees its pid: the upper half. */
#define ML_COOKIE_PROCESS(cookie) ((uint32_t)((cookie) >> 32))
#define ML_COOKIE(role, function, process)                                                         \
	((uint64_t)(role) | (uint64_t)(function) << 8 | (uint64_t)(process) << 32)

/** Set in an entry of a stack that is no return address: where a signal interrupted. */
#define ML_STACK_IP_INTERRUPTED (1ull << 63)

/*
 * Two kinds of entry of a process's stack say more than an address (user addresses have 47 bits).
 * Compiled Java: the address, and above it the low bits of the compilation's number, by which code
 * that took the place of other code is told from it.
 * Interpreted Java: the address of the Method (a multiple of 8), and below it the bytecode's index.
 */
#define ML_STACK_JAVA_INTERPRETED (1ull << 62)
#define ML_STACK_JAVA_COMPILED    (1ull << 61)
#define ML_STACK_ADDRESS_BITS     47
#define ML_STACK_ADDRESS_MASK     ((1ull << ML_STACK_ADDRESS_BITS) - 1)
#define ML_JAVA_COMPILATION_MASK  0xfffull
#define ML_JAVA_COMPILATION(entry)                                                                 \
	((uint32_t)((entry) >> ML_STACK_ADDRESS_BITS & ML_JAVA_COMPILATION_MASK))
#define ML_JAVA_METHOD(entry) ((entry) >> 13 & ML_STACK_ADDRESS_MASK & ~7ull)
#define ML_JAVA_BCI(entry)    ((uint32_t)((entry)&0xffffu))
#define ML_JAVA_INTERPRETED_ENTRY(method, bci)                                                     \
	(ML_STACK_JAVA_INTERPRETED | (uint64_t)(method) << 13 | (bci))
#define ML_JAVA_BCI_UNKNOWN 0xffffu

/** A stack as the kernel recorded it: raw addresses, innermost first. */
struct ml_stack_record {
	uint32_t count; /**< entries of ip in use */
	uint32_t end;   /**< enum ml_walk_end */
	uint32_t tgid;  /**< whose stack; 0 for the kernel's */
	uint32_t reserved;
	uint64_t ip[ML_STACK_DEPTH]; /**< the first is the return address of the allocating call */
};

struct ml_live_key {
	uint64_t address;
	uint32_t tgid;
	uint32_t reserved; /**< 0; for the kernel (tgid 0) the kind of block */
};

/** A block that is allocated now. The weights differ from (size, 1) only when sampling by bytes. */
struct ml_live_record {
	uint64_t size;         /**< bytes asked for */
	uint64_t weight_bytes; /**< bytes it stands for */
	uint64_t stack;        /**< stack id */
	uint64_t born_ns;      /**< CLOCK_MONOTONIC at the successful return */
	uint32_t tid;
	uint32_t weight_count; /**< blocks it stands for */
};

/** The books of one stack; a site's live bytes are alloc_bytes - free_bytes. Weighted. */
struct ml_site_record {
	uint64_t allocs;
	uint64_t frees;
	uint64_t alloc_bytes;
	uint64_t free_bytes;
};

/** Slots of the counters table that come after those of enum ml_counter. */
enum ml_books_slot {
	ML_SLOT_UNTRACKED_FREES = ML_COUNTER_COUNT, /**< frees of blocks we do not know */
	ML_SLOT_EVENTS,                             /**< probe hits */
	ML_SLOT_COUNT,
};

/** A direct mmap, munmap or mremap that succeeded. */
struct ml_map_event {
	uint64_t time_ns;
	uint64_t address; /**< the new mapping (mmap, mremap) or what goes (munmap) */
	uint64_t length;
	uint64_t old_address; /**< mremap only */
	uint64_t old_length;  /**< mremap only */
	uint64_t stack;       /**< stack id; 0 for munmap */
	uint32_t tgid;
	uint32_t tid;
	uint32_t role;       /**< ML_ROLE_MMAP, ML_ROLE_MUNMAP or ML_ROLE_MREMAP */
	uint32_t is_library; /**< found by the tool: (perhaps) the C library's own, nobody's leak */
};

/** One call, for --trace. */
struct ml_call_event {
	uint64_t time_ns;
	uint64_t size;
	uint64_t address;
	uint64_t old_address; /**< realloc, mremap */
	uint32_t tgid;
	uint32_t tid;
	uint32_t role;
	uint32_t function; /**< ML_COOKIE_FUNCTION() */
	char comm[16];
};

/** One executable mapping of a process, for the walker. */
struct ml_process_map {
	uint64_t start;
	uint64_t end;
	uint64_t bias;       /**< start of the table's pcs: runtime address = bias + row.pc */
	uint32_t page_first; /**< index of the module's first page in the page table */
	uint32_t page_count; /**< pages; 0 when the module has no rows (frame pointers are followed)
			      */
	uint32_t page_base;  /**< number of the first page: (pc >> ML_UNWIND_PAGE_SHIFT) - this */
	uint32_t flags;      /**< ML_PROCESS_MAP_* */
};

/** The mapping belongs to an allocator or the C library: an mmap called from it is its own. */
#define ML_PROCESS_MAP_ALLOCATOR 1u

/**
 * Where CPython keeps a thread's frames. Offsets in bytes; those of a frame are multiples of 8
 * below ML_PYTHON_FRAME_BYTES, but for `mark`.
 */
struct ml_python_layout {
	uint64_t main_interpreter; /**< address of the pointer to it; 0: the process runs no Python
				    */
	uint32_t first_thread;     /**< in the interpreter */
	uint32_t next_thread;      /**< in a thread */
	uint32_t thread_id;        /**< in a thread: pthread_self(), which is the base of fs */
	uint32_t frames;           /**< in a thread: its newest frame, or its struct _PyCFrame */
	uint32_t has_cframe;       /**< `frames` leads to a _PyCFrame (before 3.13) … */
	uint32_t cframe_frame;     /**< … which has the newest frame here */
	uint32_t code, previous, instruction; /**< in a frame */
	uint32_t mark;       /**< in a frame: the byte that marks the oldest of an eval loop */
	uint32_t mark_value; /**< what that byte is then */
	/** The marked frame is no function (3.12 on: it only separates), or it is one (3.11). */
	uint32_t mark_is_function;
	uint64_t loop_start, loop_end; /**< the code of the eval loop */
};

#define ML_PYTHON_FRAME_BYTES 80u

/** Set in `code` of the oldest function that one run of the eval loop executes. */
#define ML_PYTHON_LOOP_BEGINS 1ull

/** One running Python function. */
struct ml_python_frame {
	uint64_t code;        /**< address of the code object, | ML_PYTHON_LOOP_BEGINS */
	uint64_t instruction; /**< address in its bytecode */
};

/** The Python functions of a stack, innermost first; in a table of their own, by stack id. */
struct ml_python_record {
	struct ml_python_frame frame[ML_PYTHON_DEPTH]; /**< those behind the last have code 0 */
};

/** There is a new stack with functions of Python or Java: their names should be read while they are
 * there. */
struct ml_name_event {
	uint64_t stack;
	uint32_t tgid;
	uint32_t reserved;
};

/** The dynamic loader of process @p tgid changes what is loaded, and waits to be heard. */
struct ml_load_event {
	uint64_t time_ns; /**< CLOCK_MONOTONIC */
	uint32_t tgid;
	uint32_t reserved;
};

/** Calls that are put right: ours are few, those of other tools may be up to 64
 * (MAX_URETPROBE_DEPTH), the innermost come first. */
#define ML_THROW_WORDS 16

/** A thread throws an exception through calls whose return addresses the kernel has replaced, and
 * waits until they are back. */
struct ml_throw_event {
	uint64_t time_ns; /**< CLOCK_MONOTONIC */
	uint32_t tgid;
	uint32_t tid; /**< as the kernel numbers it */
	struct ml_throw_word {
		uint64_t place; /**< 0: this one is as it was */
		uint64_t address;
	} word[ML_THROW_WORDS];
};

#define ML_JAVA_HEAPS 4u

/** A part of HotSpot's code cache. Its segment map has a byte for each segment of code: 0 where a
 * block starts, else how many segments (at least) it starts before; 255 where nothing is. */
struct ml_java_heap {
	uint64_t start, end;
	uint64_t segments;      /**< address of its segment map */
	uint32_t segment_shift; /**< a segment has 1 << this bytes */
	uint32_t reserved;
};

/** Where HotSpot keeps its code, and what a frame of it looks like. Offsets in bytes. */
struct ml_java_layout {
	uint64_t start, end; /**< the code cache; both 0: the process has none */
	uint64_t interpreter_start, interpreter_end; /**< both 0 while it was not yet made */
	uint64_t interpreter; /**< address of the pointer to the StubQueue that it is */
	struct ml_java_heap heaps[ML_JAVA_HEAPS];
	uint32_t heap_count;
	uint32_t block_header;      /**< a CodeBlob lies so far behind the start of its block */
	uint32_t frame_size;        /**< in a CodeBlob: int, words from its rsp to the CFA */
	uint32_t code_start;        /**< in a CodeBlob: where its code starts … */
	uint32_t is_code_offset;    /**< … an int, relative to the CodeBlob, or a pointer */
	uint32_t frame_complete;    /**< in a CodeBlob: in its code, where the frame is there … */
	uint32_t is_complete_short; /**< … an int16_t or an int */
	uint32_t compilation;       /**< in a compiled method: int, its number */
	uint32_t const_method;      /**< in a Method: pointer */
	uint32_t bytecode;          /**< in a ConstMethod */
	int32_t bytecode_slot;      /**< in an interpreter's frame, from rbp */
	uint32_t stubs_start;       /**< in a StubQueue: pointer to its first byte … */
	uint32_t stubs_size;        /**< … int, how many it has */
	uint32_t reserved;
};

struct ml_process_maps {
	uint32_t count;
	uint32_t version; /**< no other table of any process has the same: of cached rows */
	struct ml_python_layout python;
	struct ml_java_layout java;
	struct ml_process_map map[ML_PROCESS_MAPS]; /**< sorted by start */
};

/** What the user asked for; one entry of an array map, set before anything is attached. */
struct ml_trace_config {
	uint64_t min_size;     /**< --min-size, 0 = none */
	uint64_t max_size;     /**< --max-size, UINT64_MAX = none */
	uint64_t sample_every; /**< --sample-rate: every Nth allocation; 1 = all */
	uint64_t sample_bytes; /**< --sample-bytes: mean bytes between samples; 0 = off */
	uint32_t depth;        /**< frames kept, 1 … ML_STACK_DEPTH */
	uint32_t trace_calls;  /**< --trace: each call is an event */
};

_Static_assert(sizeof(struct ml_live_key) == 16, "no hidden padding in a hash key");
_Static_assert(sizeof(struct ml_live_record) == 40, "layout shared with the kernel");
_Static_assert(sizeof(struct ml_stack_record) == 16 + 8 * ML_STACK_DEPTH, "layout shared");
_Static_assert(sizeof(struct ml_python_record) == 8 * ML_WINDOW_WORDS / 2,
	       "half of the walk's window");
_Static_assert(sizeof(struct ml_process_map) == 40, "layout shared with the kernel");

#endif

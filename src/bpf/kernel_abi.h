/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/** What the kernel tracer's programs and the tool say to each other, on top of trace_abi.h. */
#ifndef ML_BPF_KERNEL_ABI_H
#define ML_BPF_KERNEL_ABI_H

#include "shared/trace_abi.h"

/** Sorts of block with an address space of their own: ml_live_key.reserved. */
enum ml_kernel_kind {
	ML_KERNEL_OBJECT, /**< kmalloc and slab caches: either may be freed by kfree (Linux 6.4) */
	ML_KERNEL_PAGES,  /**< by the address of its struct page */
	ML_KERNEL_PERCPU,
};

/** What is traced: X(NAME, name of the tracepoint, words of --trace, is it an allocation). */
#define ML_KERNEL_POINTS(X)                                                                        \
	X(KFREE, kfree, "kfree", 0)                                                                \
	X(KMEM_CACHE_FREE, kmem_cache_free, "kmem_cache_free", 0)                                  \
	X(MM_PAGE_FREE, mm_page_free, "free_pages", 0)                                             \
	X(PERCPU_FREE_PERCPU, percpu_free_percpu, "free_percpu", 0)                                \
	X(KMALLOC, kmalloc, "kmalloc", 1)                                                          \
	X(KMALLOC_NODE, kmalloc_node, "kmalloc_node", 1)                                           \
	X(KMEM_CACHE_ALLOC, kmem_cache_alloc, "kmem_cache_alloc", 1)                               \
	X(KMEM_CACHE_ALLOC_NODE, kmem_cache_alloc_node, "kmem_cache_alloc_node", 1)                \
	X(MM_PAGE_ALLOC, mm_page_alloc, "alloc_pages", 1)                                          \
	X(PERCPU_ALLOC_PERCPU, percpu_alloc_percpu, "alloc_percpu", 1)

enum ml_kernel_point {
#define X(name, tracepoint, words, is_alloc) ML_KERNEL_##name,
	ML_KERNEL_POINTS(X)
#undef X
		ML_KERNEL_POINT_COUNT,
};

/** Code from start up to but not including end; all-zero holds nothing. */
struct ml_kernel_range {
	uint64_t start;
	uint64_t end;
};

#define ML_KERNEL_NESTED_RANGES 8

struct ml_kernel_config {
	struct ml_trace_config common;
	uint32_t tool_tgid; /**< whose allocations are left out: the tool's own */
	uint32_t
		missing_free; /**< -F: forget what is known of an address that is allocated again */
	uint32_t cpu_count;   /**< a per-CPU block takes its size this many times */
	uint32_t page_size;
	/** Entry points of interrupts: a stack ends there, the rest is whom it interrupted. */
	struct ml_kernel_range interrupt;
	/** Where allocators get the pages they hand out in pieces: those are not counted again. */
	struct ml_kernel_range nested[ML_KERNEL_NESTED_RANGES];
};

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Where in the kernel's text the code lies that we must know from others: the allocators
 * themselves, what fetches pages for them, and interrupt entries. Found by name in /proc/kallsyms.
 */
#ifndef ML_TRACE_KERNEL_CODE_H
#define ML_TRACE_KERNEL_CODE_H

#include "base/array.h"
#include "base/error.h"
#include "bpf/kernel_abi.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** All-zero knows nothing. */
struct ml_kernel_code {
	ML_ARRAY(struct ml_kernel_range) allocators; /**< kmalloc, alloc_pages and their helpers */
	ML_ARRAY(struct ml_kernel_range)
	slab_pages; /**< pages fetched by kmalloc and slab caches */
	ML_ARRAY(struct ml_kernel_range) percpu_pages; /**< pages fetched for per-CPU blocks */
	struct ml_kernel_range interrupt;              /**< from the first to the last entry */
};

/**
 * Reads @p path ("/proc/kallsyms"). ML_ERROR_UNSUPPORTED when it shows no addresses
 * (kernel.kptr_restrict) or cannot be read.
 */
struct ml_error *ml_kernel_code_read(const char *path, struct ml_kernel_code *out);

/** Frames at the start of a stack that belong to the tracing and to the allocator itself. */
size_t ml_kernel_code_own_frames(const struct ml_kernel_code *code, const uint64_t *ip,
				 size_t count);

/** Sets what the programs must know: @p percpu when per-CPU blocks are traced too. */
void ml_kernel_code_configure(const struct ml_kernel_code *code, bool percpu,
			      struct ml_kernel_config *config);

void ml_kernel_code_deinit(struct ml_kernel_code *code);

#endif

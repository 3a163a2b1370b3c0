/* SPDX-License-Identifier: BSD-2-Clause */
/** Which of the tracepoints of kernel allocation this kernel has, and what their arguments mean. */
#ifndef ML_TRACE_KERNEL_POINTS_H
#define ML_TRACE_KERNEL_POINTS_H

#include "base/error.h"
#include "bpf/kernel_abi.h"

#include <stdbool.h>

/** One tracepoint, as the kernel's BTF tells it. */
struct ml_kernel_point_info {
	bool exists;
	unsigned int argument_count;
	/** The third argument is a pointer: allocations of slab caches name the cache there. */
	bool third_is_pointer;
};

/** Looks every point up; ML_ERROR_UNSUPPORTED when BTF cannot be read. */
struct ml_error *ml_kernel_points_find(struct ml_kernel_point_info info[ML_KERNEL_POINT_COUNT]);

/** The words for --trace, by enum ml_kernel_point. */
extern const char *const ml_kernel_point_words[ML_KERNEL_POINT_COUNT];

/** The tracepoints' names, by enum ml_kernel_point. */
extern const char *const ml_kernel_point_names[ML_KERNEL_POINT_COUNT];

#endif

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/** What walk.bpf.c tells walk.c: sums over `count` returns. */
#ifndef ML_BENCH_WALK_TIMES_H
#define ML_BENCH_WALK_TIMES_H

#include "shared/types.h"

struct walk_times {
	uint64_t walk_ns;   /**< in our walk */
	uint64_t kernel_ns; /**< in bpf_get_stack() */
	uint64_t clock_ns;  /**< what reading the clock adds to each */
	uint64_t count;
	uint32_t frames;        /**< of the last walk */
	uint32_t end;           /**< of the last walk: enum ml_walk_end */
	uint32_t kernel_frames; /**< of the last bpf_get_stack() */
	uint32_t reserved;
	uint64_t kernel_ip[127];
};

#endif

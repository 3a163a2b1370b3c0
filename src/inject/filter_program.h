/* SPDX-License-Identifier: BSD-2-Clause */
/** Programs of system call filters (seccomp), and what they answer to a call. */
#ifndef ML_INJECT_FILTER_PROGRAM_H
#define ML_INJECT_FILTER_PROGRAM_H

#include "base/array.h"

#include <linux/filter.h>
#include <stddef.h>
#include <stdint.h>

/** A system call as far as it is known; from where it is made never is. */
struct ml_filter_call {
	long number;
	uint64_t arguments[6];
	uint32_t unknown; /**< ML_FILTER_UNKNOWN_ARGUMENT() of those that are not known */
};

#define ML_FILTER_UNKNOWN_ARGUMENT(i) (1u << (i))

struct ml_filter_program {
	struct sock_filter *code; /**< owned */
	size_t count;
};
typedef ML_ARRAY(struct ml_filter_program) ml_filter_chain;

void ml_filter_chain_free(ml_filter_chain *chain);

/**
 * The strictest answer (SECCOMP_RET_*) that @p code may give to @p call, whatever is not known of
 * it. One that is no filter kills.
 */
uint32_t ml_filter_program_answer(const struct sock_filter *code, size_t count,
				  const struct ml_filter_call *call);

/** The strictest of all programs, as the kernel takes it. */
uint32_t ml_filter_chain_answer(const ml_filter_chain *chain, const struct ml_filter_call *call);

#endif

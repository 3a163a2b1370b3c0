/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Reading the books that BPF programs keep: the maps stacks, live, sites and counters with the
 * layouts of shared/trace_abi.h, the same for processes and for the kernel.
 */
#ifndef ML_TRACE_BPF_BOOKS_H
#define ML_TRACE_BPF_BOOKS_H

#include "base/error.h"
#include "model/snapshot.h"
#include "shared/trace_abi.h"

#include <stdbool.h>
#include <stdint.h>

/** The maps, borrowed. */
struct ml_bpf_books {
	int sites_fd;          /**< hash: stack id (u64) → struct ml_site_record */
	bool sites_per_cpu;    /**< sites is a per-CPU hash; its records are summed */
	int live_fd;           /**< hash: struct ml_live_key → struct ml_live_record */
	int stacks_fd;         /**< hash: stack id (u64) → struct ml_stack_record */
	int counters_fd;       /**< array of u64 by enum ml_counter, then enum ml_books_slot */
	bool counters_per_cpu; /**< counters is a per-CPU array; its values are summed */
};

/**
 * Fills @p out (an initialized snapshot; what is in it is replaced).
 *
 * With @p filter's want_ages or want_blocks each live block is read and a site's live figures are
 * the sum of its blocks, so that blocks and sites agree exactly; allocs and frees are read just
 * after and may differ from them by what happened in between (allocs never fall short of blocks).
 * Without, live is allocated − freed. A site whose frees exceed its allocations counts as
 * ML_COUNTER_NEGATIVE_SITES and has nothing alive. Blocks without a site in the table get one made
 * of what is alive.
 */
struct ml_error *ml_bpf_books_snapshot(const struct ml_bpf_books *books,
				       const struct ml_snapshot_filter *filter,
				       struct ml_snapshot *out);

/** Calls @p visit for each block that is alive. */
struct ml_error *ml_bpf_books_each_block(const struct ml_bpf_books *books,
					 void (*visit)(void *context, const struct ml_live_key *key,
						       const struct ml_live_record *record),
					 void *context);

/** Calls @p visit for each stack of process @p pid. */
void ml_bpf_books_each_stack(const struct ml_bpf_books *books, pid_t pid,
			     void (*visit)(void *context, uint64_t id,
					   const struct ml_stack_record *record),
			     void *context);

/** The record of stack @p id; false when it is not (any more) in the table. */
bool ml_bpf_books_stack(const struct ml_bpf_books *books, uint64_t id, struct ml_stack_record *out);

/** The sums of the counters table over all CPUs; @p out has ML_SLOT_COUNT entries. */
struct ml_error *ml_bpf_books_counters(const struct ml_bpf_books *books, uint64_t *out);

#endif

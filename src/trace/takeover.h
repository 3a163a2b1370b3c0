/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * How a process moves from the bpf tracer to the agent while it runs, nothing being lost.
 *
 * The agent is got ready; then, with all threads stopped, it is let in, over the probes, and the
 * kernel's programs are told to leave the process alone (ml_bpf_tracer_let_go()). What they had
 * booked is theirs from then on: it can be read while the target runs, and is given to the agent
 * (ml_agent_tracer_give()), which has noted meanwhile what was freed of it.
 */
#ifndef ML_TRACE_TAKEOVER_H
#define ML_TRACE_TAKEOVER_H

#include "trace/agent_prior.h"
#include "trace/map_books.h"
#include "trace/tracer.h"

/** The processes that have probes, one after the other, by numbers from 0 on; those that have none
 * any more are passed over. NULL behind the last. */
struct ml_process *ml_bpf_tracer_process(struct ml_tracer *bpf, size_t *number);

/** Makes the programs ready to leave processes alone. Before any is let go. */
void ml_bpf_tracer_prepare(struct ml_tracer *bpf);

/** The programs book nothing of @p pid any more. Changes nothing but what the kernel has. */
void ml_bpf_tracer_let_go(struct ml_tracer *bpf, pid_t pid);

/**
 * Takes the probes of @p pid out, which was let go, and gives its blocks to @p blocks and its
 * mappings to @p maps: here they count as freed. Stacks and what was ever allocated stay.
 */
struct ml_error *ml_bpf_tracer_give(struct ml_tracer *bpf, pid_t pid, ml_prior_blocks *blocks,
				    struct ml_map_books *maps);

/** Waits @p limit_ms at most until the probes that were taken out are gone: as long as one is there
 * the kernel has put its own return address in the place of the caller's, and the agent cannot see
 * that one's stack. False when some are left. */
bool ml_bpf_tracer_settle(struct ml_tracer *bpf, unsigned int limit_ms);

/** Takes the probes of @p pid out, if it has any; what was booked stays. */
void ml_bpf_tracer_drop(struct ml_tracer *bpf, pid_t pid);

/** Calls @p visit for each stack of @p pid. */
void ml_bpf_tracer_each_stack(struct ml_tracer *bpf, pid_t pid,
			      void (*visit)(void *context, uint64_t id,
					    const struct ml_stack_record *record),
			      void *context);

/** add_process() for a process that is traced by probes of ours; @p patched as in
 * inject/injection.h. */
struct ml_error *ml_agent_tracer_take_over(struct ml_tracer *agent, struct ml_process *process,
					   void (*patched)(void *context), void *context);

/** The blocks (emptied) that @p pid had when it was taken over; how many had no place. */
size_t ml_agent_tracer_give(struct ml_tracer *agent, pid_t pid, ml_prior_blocks *blocks);

/** Where the agent keeps intervals of mapped memory, to be given those of bpf. */
struct ml_map_books *ml_agent_tracer_maps(struct ml_tracer *agent);

/**
 * A tracer that is @p bpf (taken over) until ml_moving_tracer_move(): from then on it is the agent
 * for every process that the agent can be got into, and its name says so. Sites keep their ids.
 */
struct ml_error *ml_moving_tracer_create(struct ml_tracer *bpf, struct ml_tracer **out);

/** What a move did. */
struct ml_move {
	size_t processes;         /**< that moved */
	size_t stayed;            /**< that did not */
	size_t blocks;            /**< taken over … */
	size_t lost;              /**< … and not, for want of room */
	struct ml_error *problem; /**< why the last one did not; owned, NULL */
};

/** Moves all processes; @p options are the agent's, borrowed. An error when there can be no agent.
 */
struct ml_error *ml_moving_tracer_move(struct ml_tracer *moving,
				       const struct ml_tracer_options *options,
				       struct ml_move *out);

#endif

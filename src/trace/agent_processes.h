/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * The processes an agent tracer is or was attached to, what their agents have booked, and their
 * stacks, whose addresses must become places in modules while it is known what is mapped where.
 */
#ifndef ML_TRACE_AGENT_PROCESSES_H
#define ML_TRACE_AGENT_PROCESSES_H

#include "base/array.h"
#include "base/error.h"
#include "trace/agent_attach.h"
#include "trace/agent_books.h"
#include "trace/agent_calls.h"
#include "trace/agent_prior.h"
#include "trace/agent_profile.h"
#include "trace/agent_sampling.h"
#include "trace/map_books.h"
#include "trace/stack_store.h"

struct ml_agent_process {
	struct ml_agent_attached attached;
	struct ml_agent_books books;
	struct ml_agent_prior prior; /**< what another tracer had booked */
	struct ml_agent_sampling sampling;
	struct ml_agent_calls calls;
	pid_t pid;
	bool is_taken; /**< false once it was removed: kept for its books and stacks */
	bool has_lapsed;
	bool is_due;           /**< its maps have changed */
	uint32_t stacks_named; /**< how many were looked at for names of Python and Java */
};

struct ml_agent_processes {
	struct ml_agent_common common;
	ML_ARRAY(struct ml_agent_process *) list; /**< owned; by index, none ever leaves */
	ML_ARRAY(uint64_t) images;                /**< where agents were, until heirs are cleaned */
	struct ml_map_books *map_books;
	struct ml_stack_store *stacks;
	struct ml_agent_profile *profile; /**< NULL where perf does not let us */
};

/** Makes zeroed @p processes ready; deinit it also after an error. */
struct ml_error *ml_agent_processes_init(struct ml_agent_processes *processes,
					 const struct ml_tracer_options *options);
void ml_agent_processes_deinit(struct ml_agent_processes *processes);

/** The newest process that has or had @p pid; NULL for none. */
struct ml_agent_process *ml_agent_processes_find(const struct ml_agent_processes *processes,
						 pid_t pid);

/** True when it has an agent. */
bool ml_agent_process_is_attached(const struct ml_agent_process *process);

/** Attaches to @p target (borrowed), or looks at it again. Errors as of add_process(). */
struct ml_error *ml_agent_processes_add(struct ml_agent_processes *processes,
					struct ml_process *target);

/** The same for one that has probes of ours, which the agent is put over. */
struct ml_error *ml_agent_processes_take_over(struct ml_agent_processes *processes,
					      struct ml_process *target,
					      const struct ml_agent_takeover *takeover);

/** @p target runs a new program: the old one's memory is gone, and the agent with it. */
struct ml_error *ml_agent_processes_renew(struct ml_agent_processes *processes,
					  struct ml_process *target);

/** Does what is new in @p process, which is attached, see ml_agent_look(). */
struct ml_error *ml_agent_processes_look(struct ml_agent_processes *processes,
					 struct ml_agent_process *process);

/** The same when nobody asked for it: its loader may be waiting. What is no news is not said. */
void ml_agent_processes_look_again(struct ml_agent_processes *processes,
				   struct ml_agent_process *process);

/** Takes the agent out of @p pid; with @p keep its stacks and books stay. */
void ml_agent_processes_remove(struct ml_agent_processes *processes, pid_t pid, bool keep);

/** Takes all agents out, of forked children too; books and stacks stay. */
void ml_agent_processes_detach(struct ml_agent_processes *processes);

/** Stack @p id; NULL when there is none. Lives as long as @p processes. */
const struct ml_stack *ml_agent_processes_stack(struct ml_agent_processes *processes, uint64_t id);

/** Reads what cannot wait until somebody asks: direct mappings, and names of new stacks, for some
 * 10 ms. */
void ml_agent_processes_read(struct ml_agent_processes *processes,
			     struct ml_agent_process *process);

/** True when there are processes whose new stacks are to be named soon. */
bool ml_agent_processes_have_python(const struct ml_agent_processes *processes);

/** Calls of all, also of those that have ended. */
uint64_t ml_agent_processes_events(const struct ml_agent_processes *processes);

/** Adds what was not seen of the processes to @p out's counters. */
void ml_agent_processes_count(const struct ml_agent_processes *processes, struct ml_snapshot *out);

/** Tells the user @p text. */
void ml_agent_processes_note(const struct ml_agent_processes *processes, const char *text);

#endif

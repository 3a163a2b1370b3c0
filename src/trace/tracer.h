/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * The one interface to everything that keeps books of allocations: bpf, kernel, agent.
 *
 * Life: create (loads programs and tables, touches nothing) → add processes (attaches) → snapshots
 * → detach → destroy. The books stay readable after detach and after the target's end.
 */
#ifndef ML_TRACE_TRACER_H
#define ML_TRACE_TRACER_H

#include "allocators/allocator.h"
#include "base/error.h"
#include "model/snapshot.h"
#include "shared/trace_abi.h"
#include "target/process.h"

#include <stdbool.h>
#include <stdint.h>

/** What the user asked of a tracer. Pointers are borrowed for the tracer's life. */
struct ml_tracer_options {
	uint64_t min_size, max_size; /**< inclusive; max 0 = none */
	uint64_t sample_every;       /**< 0 or 1 = all */
	uint64_t sample_bytes;       /**< 0 = off */
	uint32_t max_depth;          /**< 0 = ML_STACK_DEPTH */
	uint32_t max_stacks;         /**< 0 = default */
	uint32_t max_blocks;         /**< 0 = default */
	bool trace_calls;            /**< --trace */
	bool wa_missing_free;        /**< -F, kernel only */
	bool percpu;                 /**< -P, kernel only */
	/** "session", "multi" or "perf": the kind of probe link; NULL = the best there is. */
	const char *link;
	bool verbose; /**< diagnostics of libbpf to stderr */
	struct ml_allocator_options allocators;
	/** Something the user should know but that stops nothing ("…: 2 functions not probed"). */
	void (*note)(void *context, const char *text);
	void *note_context;
	/**
	 * The agent is about to stop process @p pid by ptrace (@p begins), or is done with it:
	 * whoever else of the tool holds it that way lets go meanwhile. False: not now. NULL when
	 * nobody does.
	 */
	bool (*ptrace_turn)(void *context, pid_t pid, bool begins);
	/**
	 * Called now and then while something takes long: processes that wait for the tool are
	 * looked after. May add and remove processes. NULL when none ever wait.
	 */
	void (*meanwhile)(void *context);
	void *turn_context; /**< of both */
};

/** Tells the user @p text: see note above. */
static inline void ml_tracer_note(const struct ml_tracer_options *options, const char *text)
{
	if (options->note)
		options->note(options->note_context, text);
}

/** What tracing cost so far. */
struct ml_tracer_cost {
	double target_cpu_s; /**< CPU time the probes took in the target, estimated; < 0 unknown */
	uint64_t events;     /**< probe hits */
};

/** One call for --trace, decoded. */
struct ml_traced_call {
	uint64_t time_ns; /**< CLOCK_MONOTONIC */
	pid_t pid, tid;
	const char *comm;
	const char *function; /**< "malloc", "kmalloc", …: the name probed */
	enum ml_role role;
	uint64_t size, address, old_address;
};

struct ml_tracer;

/** How a tracer does it. Members are required unless said otherwise. */
struct ml_tracer_ops {
	const char *name; /**< "bpf", "kernel", "agent" */
	/** Whether a process may run another program without our holding it: what was put into it
	 * is there in the next one, too, and the tracer hears of that in time. NULL = no. */
	bool (*outlives_exec)(struct ml_tracer *tracer);
	/**
	 * Attaches to @p process (borrowed until remove_process() or destroy()); its maps are read
	 * here. Called again for a process it already has, it looks again. ML_ERROR_UNSUPPORTED
	 * when no allocator is mapped (yet): the process is taken nevertheless, for it may be
	 * starting. Only user tracers (else NULL).
	 */
	struct ml_error *(*add_process)(struct ml_tracer *tracer, struct ml_process *process);
	/** New mappings may have appeared in @p pid (dlopen, exec): look again. NULL for the
	 * kernel. */
	struct ml_error *(*refresh_process)(struct ml_tracer *tracer, pid_t pid);
	/**
	 * @p process, which was added, stands at the beginning of a new program: what the old one
	 * had is forgotten, the rest is as in add_process(). Only user tracers (else NULL).
	 */
	struct ml_error *(*renew_process)(struct ml_tracer *tracer, struct ml_process *process);
	/** @p pid ended: its links go; what it leaked stays in the books if @p keep. */
	void (*remove_process)(struct ml_tracer *tracer, pid_t pid, bool keep);
	/** Attaches to the kernel. Only the kernel tracer (else NULL). */
	struct ml_error *(*attach_kernel)(struct ml_tracer *tracer);
	struct ml_error *(*snapshot)(struct ml_tracer *tracer,
				     const struct ml_snapshot_filter *filter,
				     struct ml_snapshot *out);
	/** The stack @p id, resolved; NULL when it was lost. Lives until destroy. */
	const struct ml_stack *(*stack)(struct ml_tracer *tracer, uint64_t id);
	/** A descriptor for epoll that says when dispatch() has work; -1 for none. */
	int (*event_fd)(struct ml_tracer *tracer);
	/** Handles pending events: new mappings, calls for --trace (each given to @p sink). */
	void (*dispatch)(struct ml_tracer *tracer,
			 void (*sink)(void *context, const struct ml_traced_call *call),
			 void *context);
	void (*cost)(struct ml_tracer *tracer, struct ml_tracer_cost *out);
	/** Samples from now on, about one of @p mean_bytes; what is known goes on to be known. The
	 * options are the caller's to change, for processes that come. NULL where that cannot be.
	 */
	void (*sample)(struct ml_tracer *tracer, uint64_t mean_bytes);
	/** Takes every probe out of the target(s). May be called twice. */
	void (*detach)(struct ml_tracer *tracer);
	void (*destroy)(struct ml_tracer *tracer);
};

/** First member of every tracer. */
struct ml_tracer {
	const struct ml_tracer_ops *ops;
};

static inline bool ml_tracer_outlives_exec(struct ml_tracer *tracer)
{
	return tracer->ops->outlives_exec && tracer->ops->outlives_exec(tracer);
}

/** The bpf tracer for processes. ML_ERROR_UNSUPPORTED says why it cannot work on this machine. */
struct ml_error *ml_bpf_tracer_create(const struct ml_tracer_options *options,
				      struct ml_tracer **out);

/** The tracer that works from inside the processes. */
struct ml_error *ml_agent_tracer_create(const struct ml_tracer_options *options,
					struct ml_tracer **out);

/** The bpf tracer for the kernel's own allocators. */
struct ml_error *ml_kernel_tracer_create(const struct ml_tracer_options *options,
					 struct ml_tracer **out);

#endif

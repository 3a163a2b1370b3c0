/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * The processes a bpf tracer is or was attached to, what the kernel has booked of them, and their
 * stacks, whose addresses must become places in modules while it is known what is mapped where.
 */
#ifndef ML_TRACE_BPF_PROCESSES_H
#define ML_TRACE_BPF_PROCESSES_H

#include "base/array.h"
#include "base/error.h"
#include "trace/bpf_books.h"
#include "trace/bpf_loader.h"
#include "trace/bpf_loads.h"
#include "trace/bpf_process.h"
#include "trace/bpf_python.h"
#include "trace/map_books.h"
#include "trace/stack_store.h"

struct ml_bpf_processes {
	struct ml_bpf_books books;
	struct ml_map_books *map_books;
	struct ml_bpf_attach attach;
	struct ml_function_names functions;
	struct ml_stack_store *stacks;
	struct ml_bpf_python *python;
	struct ml_bpf_loads *loads;             /**< see ml_bpf_processes_listen(); borrowed */
	ML_ARRAY(struct ml_bpf_process *) list; /**< owned, also those that were removed */
};

/** Makes zeroed @p processes ready for the programs @p loaded; deinit it also after an error. */
struct ml_error *ml_bpf_processes_init(struct ml_bpf_processes *processes,
				       const struct ml_tracer_options *options,
				       const struct ml_bpf_loaded *loaded);
void ml_bpf_processes_deinit(struct ml_bpf_processes *processes);

/** The newest process that has or had @p pid; NULL for none. */
struct ml_bpf_process *ml_bpf_processes_find(const struct ml_bpf_processes *processes, pid_t pid);

/** Attaches to @p target (borrowed), or looks at it again. Errors as of add_process(). */
struct ml_error *ml_bpf_processes_add(struct ml_bpf_processes *processes,
				      struct ml_process *target);

/** Does what is new in @p process, see ml_bpf_process_look(). */
struct ml_error *ml_bpf_processes_look(struct ml_bpf_processes *processes,
				       struct ml_bpf_process *process);

/** @p process, which is attached, runs a new program: what is booked of the old one is forgotten.
 */
struct ml_error *ml_bpf_processes_renew(struct ml_bpf_processes *processes,
					struct ml_bpf_process *process);

/** Detaches from @p pid; with @p keep its stacks and books stay. */
void ml_bpf_processes_remove(struct ml_bpf_processes *processes, pid_t pid, bool keep);

/** From here on the loaders of all processes wait for @p loads (borrowed). */
void ml_bpf_processes_listen(struct ml_bpf_processes *processes, struct ml_bpf_loads *loads);

/** Stack @p id; NULL when neither we nor the kernel have it. Lives as long as @p processes. */
const struct ml_stack *ml_bpf_processes_stack(struct ml_bpf_processes *processes, uint64_t id);

/** Takes the stacks of all processes, or of @p pid, out of the kernel while the code they run
 * through is still known. */
void ml_bpf_processes_take_stacks(struct ml_bpf_processes *processes);
void ml_bpf_processes_take_stacks_of(struct ml_bpf_processes *processes, pid_t pid);

/** Puts the stacks with Python functions together, so that their parts need not be kept. */
void ml_bpf_processes_take_python(struct ml_bpf_processes *processes);

/** Adds what was not seen of the processes to @p out's counters. */
void ml_bpf_processes_count(const struct ml_bpf_processes *processes, struct ml_snapshot *out);

#endif

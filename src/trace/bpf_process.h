/* SPDX-License-Identifier: BSD-2-Clause */
/** One process the bpf tracer is attached to: its code, its links, what is probed in it. */
#ifndef ML_TRACE_BPF_PROCESS_H
#define ML_TRACE_BPF_PROCESS_H

#include "allocators/allocator.h"
#include "base/array.h"
#include "base/error.h"
#include "target/process.h"
#include "trace/bpf_throws.h"
#include "trace/code_map.h"
#include "trace/function_names.h"
#include "trace/java_process.h"
#include "trace/link_keeper.h"
#include "trace/module_cache.h"
#include "trace/python_names.h"
#include "trace/python_runtime.h"
#include "trace/tracer.h"
#include "trace/unwind_tables.h"
#include "trace/uprobe_link.h"

/** What attaching needs, the same for all processes of a tracer. Borrowed. */
struct ml_bpf_attach {
	const struct ml_tracer_options *options;
	struct ml_module_cache *modules;
	struct ml_unwind_tables *unwind;
	struct ml_function_names *functions;
	struct ml_link_keeper *keeper;
	enum ml_link_kind kind;
	int processes_fd;                          /**< map: pid → struct ml_process_maps */
	int call_fd, entry_fd, return_fd, free_fd; /**< programs; call_fd only for sessions */
	int load_fd; /**< program for the dynamic loader; negative where there is none */
	struct ml_bpf_throws *throws;
};

/** A function that has its probes. */
struct ml_probed {
	const struct ml_module *module;
	uint64_t address;
};

struct ml_bpf_process {
	struct ml_process *process; /**< borrowed from the caller of add_process */
	pid_t pid;
	bool is_attached; /**< false once removed: kept for its stacks */
	struct ml_code_map code;
	struct ml_python python;
	struct ml_python_names *python_names; /**< NULL until there are some */
	struct ml_java_process java;
	struct ml_links links;
	ML_ARRAY(struct ml_probed) probed;
	/** Modules with an unwinder that has its probes. */
	ML_ARRAY(const struct ml_module *) unwinders;
	bool lacks_unwinder; /**< one will be loaded: what throws is not probed before it */
	const struct ml_module *loader; /**< the dynamic loader, once it has its probe */
	uint64_t looked_ns;             /**< CLOCK_MONOTONIC: when stacks last made us look again */
	uint64_t beyond_limit;          /**< mappings that did not fit the kernel's table */
	uint64_t not_probed;            /**< functions whose probe was refused */
	uint64_t late; /**< functions probed when they may have been called already */
	bool was_late; /**< its loader did not wait for the last look */
};

/**
 * Looks at the maps of @p process and does what is new: rows, the kernel's table of mappings,
 * probes.
 * @p before_removal is called when code has gone, before it is forgotten.
 */
struct ml_error *ml_bpf_process_look(struct ml_bpf_process *process,
				     const struct ml_bpf_attach *attach,
				     void (*before_removal)(void *context), void *context);

/** Whether a module that is mapped has probes. */
bool ml_bpf_process_has_probes(const struct ml_bpf_process *process);

/** ML_ERROR_UNSUPPORTED "no allocation functions found …", with all that was looked at. */
struct ml_error *ml_bpf_process_no_allocator(const struct ml_bpf_process *process,
					     const struct ml_bpf_attach *attach);

/** True when all code @p process was seen with is still mapped: no exec happened in between. */
bool ml_bpf_process_is_same_image(const struct ml_bpf_process *process);

/**
 * Moves the probes of @p old to @p process, which is the same process after an exec: they are on
 * files, so that they hit the new image wherever it maps the same ones.
 */
void ml_bpf_process_inherit(struct ml_bpf_process *process, struct ml_bpf_process *old);

/**
 * Takes the probes out; the code map stays. With @p later that is left to the keeper, and done when
 * that is drained.
 */
void ml_bpf_process_detach(struct ml_bpf_process *process, const struct ml_bpf_attach *attach,
			   bool later);

void ml_bpf_process_deinit(struct ml_bpf_process *process);

#endif

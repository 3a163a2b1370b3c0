/* SPDX-License-Identifier: BSD-2-Clause */
/** Getting the agent into a process and telling it of the process's code. */
#ifndef ML_TRACE_AGENT_ATTACH_H
#define ML_TRACE_AGENT_ATTACH_H

#include "base/array.h"
#include "base/intern.h"
#include "base/u64map.h"
#include "inject/injection.h"
#include "trace/agent_heart.h"
#include "trace/agent_python.h"
#include "trace/agent_rows.h"
#include "trace/code_map.h"
#include "trace/function_names.h"
#include "trace/java_process.h"
#include "trace/module_cache.h"
#include "trace/tracer.h"

/** What the processes of a tracer share. Borrowed. */
struct ml_agent_common {
	const struct ml_tracer_options *options;
	struct ml_module_cache *modules;
	struct ml_agent_heart *heart;
	struct ml_agent_rows rows;
	struct ml_function_names functions;
	struct ml_u64map lockers; /**< see ml_agent_lock_find() */
	/** Another tracer of ours had probes: what is forked inherits breakpoints. */
	bool takes_over;
};

/** A process with an agent in it, or about to get one. */
struct ml_agent_attached {
	struct ml_agent_common *common;
	struct ml_process *process; /**< borrowed */
	struct ml_code_map code;
	struct ml_java_process java;
	struct ml_agent_pythons pythons;
	struct ml_agent_rows_copy rows_told;
	struct ml_injection injection; /**< without memory: not attached */
	/** Addresses of functions that are watched where other modules call them. */
	ML_ARRAY(uint64_t) by_imports;
	ML_ARRAY(uint64_t) refused; /**< addresses of functions that cannot be patched */
	struct ml_intern told;      /**< what was said of functions: once is enough */
	uint64_t beyond_limit;
	/** Lines of blocks, stacks and their words: what the limits on its memory leave for them.
	 */
	uint32_t room_lines, room_stacks, room_words;
	bool is_probed;          /**< there may be probes of ours in its functions */
	bool is_behind;          /**< there are functions that could not be patched just then */
	bool has_loader;         /**< its dynamic loader waits for us */
	uint64_t patched;        /**< how many functions are or were */
	uint32_t loads_given_up; /**< the last load that was seen not to wait for us */
	uint64_t late;           /**< functions patched when they may have been called already */
};

/** Of a process that has probes of ours, which the agent is put over. */
struct ml_agent_takeover {
	void (*patched)(void *context); /**< see struct ml_injection */
	void *context;
};

/**
 * Attaches: everything is booked when it returns. @p parent is one of which the process may be a
 * forked child, or NULL; @p takeover is NULL for one that is not traced yet. ML_ERROR_UNSUPPORTED
 * when it has no allocator (yet). On an error the process is as it was.
 */
struct ml_error *ml_agent_attach(struct ml_agent_attached *attached,
				 const struct ml_agent_attached *parent,
				 const struct ml_agent_takeover *takeover);

/** Whether the limits of process @p pid leave room for an agent. Nothing is done to it. */
struct ml_error *ml_agent_check_room(pid_t pid, const struct ml_tracer_options *options);

/** What a look found. */
enum ml_agent_look {
	ML_AGENT_SAME,    /**< the process runs what it ran */
	ML_AGENT_REMOVED, /**< code has gone; to be looked at again once stacks are resolved */
	ML_AGENT_NEW,     /**< another program: the agent went with the old one */
};

/**
 * Looks at the maps: tells the agent of new code and patches new allocators. When code has gone and
 * not @p resolved, nothing is done yet. *@p error (may be NULL) tells what could not be traced.
 */
enum ml_agent_look ml_agent_look(struct ml_agent_attached *attached, bool resolved,
				 struct ml_error **error);

/** Takes the agent out; the books stay. Twice is fine. */
struct ml_error *ml_agent_detach(struct ml_agent_attached *attached);

/** Forgets the memory; the code map and what is known of functions stay. */
void ml_agent_close(struct ml_agent_attached *attached);

/** Forgets which functions were not patched. */
void ml_agent_forget_functions(struct ml_agent_attached *attached);

void ml_agent_attached_deinit(struct ml_agent_attached *attached);

#endif

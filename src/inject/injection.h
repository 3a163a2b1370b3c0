/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * The agent's way into a process and out of it.
 *
 * Each step is done by a process forked for it, in a session of its own: a tool that is killed in
 * the middle of one leaves it to be finished. What is left then is found by ml_injection_find().
 * A process held by our own ptrace (ml_process_is_held()) is worked on where it stands.
 */
#ifndef ML_INJECT_INJECTION_H
#define ML_INJECT_INJECTION_H

#include "base/array.h"
#include "base/error.h"
#include "inject/filter_watch.h"
#include "shared/agent_abi.h"
#include "target/process.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** A function to patch. */
struct ml_injection_function {
	const char *name;
	uint64_t address;     /**< in the process */
	const uint8_t *bytes; /**< as the file has them */
	size_t size;          /**< of bytes; what is known of the function */
	uint32_t role;        /**< enum ml_role */
	uint64_t probe;       /**< where a uprobe of our own may be in it, 0 = there is none */
	uint16_t number;      /**< of its name, for --trace */
	const void *module;   /**< the same for functions of one module */
	/** It may throw an exception, which cannot pass the agent: it is called for its exception
	 * only, and otherwise what gives the same block and does not throw. */
	bool throws;
	bool may_throw;      /**< perhaps, and there is no such thing: an exception would end it */
	bool is_swapped;     /**< that takes the first two arguments the other way round */
	uint64_t substitute; /**< its address in the process, 0 = there is none */
	/** It is watched by its imports already: only new ones are to be patched. */
	bool is_by_imports;
};

/** A word of a module's global offset table. */
struct ml_injection_word {
	uint64_t address; /**< in the process */
	uint64_t value;   /**< as it is: the function, or where it is looked up at the first call */
};
typedef ML_ARRAY(struct ml_injection_word) ml_injection_words;

/** Finds the words of all modules by which they call a function; true when there are no others. */
struct ml_injection_imports {
	bool (*find)(void *context, const struct ml_injection_function *function,
		     ml_injection_words *out);
	void *context;
};

/** What became of a function that was to be patched. */
struct ml_injection_outcome {
	struct ml_error *refused; /**< why its start is not patched; owned by the caller */
	bool is_by_imports;       /**< it is watched where other modules call it */
};

/** What was put into a process. */
struct ml_injection {
	const struct ml_process *process; /**< borrowed */
	struct ml_agent_memory *memory;   /**< mapped here; NULL when there is none */
	size_t size;
	int fd;                          /**< the memory's file; owned, -1 without memory */
	uint32_t used[ML_AGENT_ISLANDS]; /**< slots given away on each island */
	/** Called when functions are patched and all threads still stopped, by the process that
	 * works: it can change what the kernel has, not this one's memory. May be NULL; when set,
	 * a function whose start cannot be patched is an error. */
	void (*patched)(void *context);
	void *patched_context;
	struct ml_filter_watch filters; /**< what its threads had when they were looked at */
};

/**
 * Maps the agent and its memory of @p size bytes into @p process, and a page of stubs in reach of
 * every function. No thread runs any of it yet. ML_ERROR_TARGET, ML_ERROR_UNSUPPORTED or
 * ML_ERROR_SYSTEM say why it cannot be; the process is then as it was.
 */
struct ml_error *ml_injection_map(const struct ml_process *process,
				  const struct ml_injection_function *functions, size_t count,
				  size_t size, struct ml_injection *out);

/**
 * The same for @p process, a forked child of the one of @p parent, which has inherited its agent
 * and patches: only memory is missing. The agent begins with ml_injection_wake().
 */
struct ml_error *ml_injection_adopt(const struct ml_process *process,
				    const struct ml_injection *parent, struct ml_injection *out);

/**
 * Whether process @p pid may map @p size bytes for the agent, and as many itself: what it may map
 * is not to be used up by us, or its own allocations would fail.
 */
struct ml_error *ml_injection_check_room(pid_t pid, size_t size);

/** True when @p process has inherited the agent of @p parent, without its memory. */
bool ml_injection_is_inherited(const struct ml_process *process, const struct ml_injection *parent);

/** Lets an adopted agent keep books. */
struct ml_error *ml_injection_wake(struct ml_injection *injection);

/** Makes room for stubs of more functions. */
struct ml_error *ml_injection_extend(struct ml_injection *injection,
				     const struct ml_injection_function *functions, size_t count);

/**
 * Patches @p functions, all threads stopped: at their start, and those that cannot be in the words
 * that @p imports (may be NULL) finds. When that is so for a freeing function, the allocating ones
 * of its module are also watched by their imports only: what a module allocates and frees by itself
 * is then not seen at all. @p outcomes (count of them, all zero) tells what was done. It can be
 * called again for more functions.
 */
struct ml_error *ml_injection_arm(struct ml_injection *injection,
				  const struct ml_injection_function *functions, size_t count,
				  const struct ml_injection_imports *imports,
				  struct ml_injection_outcome *outcomes);

/** Has calls that sampling by bytes does not keep take the short way, once it has begun. It works
 * without, only slower. */
struct ml_error *ml_injection_shorten(const struct ml_injection *injection);

/**
 * Looks whether a thread of the process has got a seccomp filter since. The agent then does without
 * those of its rare system calls that it forbids.
 */
void ml_injection_watch_filter(struct ml_injection *injection);

/** True when the function at @p address is patched at its start. */
bool ml_injection_has(const struct ml_injection *injection, uint64_t address);

/** Forgets the patches whose code is no longer there, or was loaded anew; how many. */
size_t ml_injection_prune(struct ml_injection *injection);

/** Takes everything out of the process; a process that is gone is no error. */
struct ml_error *ml_injection_remove(struct ml_injection *injection);

/** False when the memory is in a file system that will soon be full: then the agent must rest, for
 * a target that finds no room there gets SIGBUS. */
bool ml_injection_has_room(const struct ml_injection *injection);

/** Forgets the memory here. */
void ml_injection_close(struct ml_injection *injection);

/** What is found of others in a process. */
enum ml_injection_kind {
	ML_INJECTION_NONE,
	ML_INJECTION_AT_WORK,   /**< another memleak traces it now */
	ML_INJECTION_STALE,     /**< left by a tool that was killed */
	ML_INJECTION_INHERITED, /**< of a traced process that forked this one: calls pass through */
};

struct ml_injection_left {
	enum ml_injection_kind kind;
	struct ml_agent_header header; /**< what is needed to take it out */
};

/** Looks for an agent. ML_ERROR_TARGET when it is one of another version. */
struct ml_error *ml_injection_find(const struct ml_process *process, struct ml_injection_left *out);

/** Takes out what was found, but for one at work. */
struct ml_error *ml_injection_remove_left(const struct ml_process *process,
					  const struct ml_injection_left *left);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Which functions allocate and free in a target, and where to probe them.
 */
#ifndef ML_ALLOCATORS_ALLOCATOR_H
#define ML_ALLOCATORS_ALLOCATOR_H

#include "base/array.h"
#include "base/error.h"
#include "elf/module.h"
#include "shared/trace_abi.h"

#include <stdbool.h>
#include <stdint.h>

/** A function to probe. */
struct ml_allocator_function {
	const char *name; /**< as in the file; owned by the module */
	enum ml_role role;
	uint64_t address; /**< ELF address of its first byte */
	uint64_t probe;   /**< ELF address to probe: rsp, and the arguments of probe_role, intact */
	/** The role by the registers as they are at `probe`; nearly always `role`. */
	enum ml_role probe_role;
	bool is_emulated; /**< the kernel emulates the instruction at `probe` (no single step) */
};

/** What one module brings. */
struct ml_allocator {
	struct ml_module *module; /**< referenced */
	/** "glibc", "musl", "jemalloc", "tcmalloc", "mimalloc", "tbbmalloc", "static" (a static
	    program's libc),
	    "user" (only functions the user named) or "other" (defines malloc and free) */
	const char *kind;
	ML_ARRAY(struct ml_allocator_function) functions; /**< one per address */
};

/** The user's words on the matter. All may be NULL/empty. */
struct ml_allocator_options {
	const char *object;         /**< -O: only modules of this name or path are looked at */
	const char *symbols_prefix; /**< -S: also PREFIXmalloc, PREFIXfree, … */
	const char *const
		*alloc_fns;          /**< --alloc-fn NAME[:SIZE_ARG[:COUNT_ARG]]; NULL-terminated */
	const char *const *free_fns; /**< --free-fn NAME; NULL-terminated */
};

/** A mapped module, in link order, as offered to ml_allocators_find(). */
struct ml_allocator_candidate {
	struct ml_module *module; /**< borrowed */
	bool is_main;             /**< the program itself */
};

struct ml_allocators {
	ML_ARRAY(struct ml_allocator) list;
	unsigned int unprobeable; /**< functions found that no probe can be placed in */
	char *looked_at; /**< "redis-server, libc.so.6, …": for the error when nothing is found;
			    owned */
};

/**
 * Finds the functions that allocate for a program made of @p candidates.
 *
 * The first module in link order that defines a name (malloc, free, …) is the one the program
 * calls; the C library's own copies are probed too when something else replaced them, since the
 * library may still call them itself. operator new/delete are probed only where they do not call
 * malloc themselves (jemalloc's, tcmalloc's, mimalloc's, TBB's), so that nothing is counted twice.
 * Symbols of the same address are one function, and one that only jumps to another probed function
 * is left out. Finding nothing is not an error here: the list is then empty. A function or prefix
 * the user named and no module has is ML_ERROR_USAGE.
 */
struct ml_error *ml_allocators_find(const struct ml_allocator_candidate *candidates, size_t count,
				    const struct ml_allocator_options *options,
				    struct ml_allocators *out);

void ml_allocators_deinit(struct ml_allocators *allocators);

/** True when the allocating function of this (mangled) name throws an exception, or calls what may,
 * when there is no memory. */
bool ml_allocator_throws(const char *name);

/** What can be called in the stead of a function that throws. */
struct ml_stand_in {
	uint64_t address; /**< ELF address */
	bool is_swapped;  /**< it takes the first two arguments the other way round */
};

/**
 * Finds what gives the same block as the function of @p module of this name, and null where that
 * throws; false when there is none. Of operator new that is malloc() only where the module's delete
 * is its free(): others may keep apart what each has allocated (tcmalloc's debugging library ends
 * the program), and it is the form for std::nothrow then, if the module has it.
 */
bool ml_allocator_stand_in(struct ml_module *module, const char *name, struct ml_stand_in *out);

/**
 * True when a function of this (mangled) name only passes an allocation on (operator new,
 * reallocarray, xmalloc, g_malloc, std::allocator…): reports call its caller the site's owner.
 */
bool ml_allocator_is_wrapper(const char *name);

/**
 * True when a function of this (mangled) name is the allocation function itself or its allocator's
 * own glue (malloc, operator new, reallocarray, __libc_memalign…): reports drop such frames from
 * the front of a stack. Every internal name is a wrapper's name too.
 */
bool ml_allocator_is_internal(const char *name);

#endif

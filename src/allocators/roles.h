/* SPDX-License-Identifier: BSD-2-Clause */
/** What the well-known names of allocation functions mean. */
#ifndef ML_ALLOCATORS_ROLES_H
#define ML_ALLOCATORS_ROLES_H

#include "shared/trace_abi.h"

#include <stdbool.h>

/** Whose name it is: tells in which modules it is believed. */
enum ml_role_scope {
	ML_SCOPE_STANDARD, /**< malloc, free…: where a module stands in for the C library */
	ML_SCOPE_MAPPING,  /**< mmap, munmap… */
	ML_SCOPE_OPERATOR, /**< operator new and delete */
	ML_SCOPE_JEMALLOC,
	ML_SCOPE_TCMALLOC,
	ML_SCOPE_MIMALLOC,
	ML_SCOPE_TBB,
	ML_SCOPE_USER,   /**< named by the user */
	ML_SCOPE_MARKER, /**< no allocation function, but tells what the module is */
};

/** A name and its meaning. */
struct ml_role_name {
	enum ml_role role;
	enum ml_role_scope scope;
	bool is_alias; /**< an older name: another one of the same address is preferred */
};

/** What @p name means, by itself or behind jemalloc's usual prefixes; false for other names. */
bool ml_role_find(const char *name, struct ml_role_name *out);

/** What @p name means as one of the C standard's names only (for names behind a prefix). */
bool ml_role_find_standard(const char *name, struct ml_role_name *out);

/** How many integer arguments, from the first on, a function of @p role needs for its books. */
unsigned int ml_role_argument_count(enum ml_role role);

/** The table of names must be sorted; true when it is. For the tests. */
bool ml_role_table_is_sorted(void);

#endif

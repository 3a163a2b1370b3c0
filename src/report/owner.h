/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Where to look: the frame of a site that most likely owns its blocks, the first that is not a
 * wrapper around an allocator (xmalloc, g_malloc, operator new, std::string, strdup, PyMem_Malloc).
 *
 * A wrapper is told by its name (a rule here, and the list of known ones in allocators/names.c), by
 * the library it is in (the C and C++ libraries' functions are never to blame), or by its callers:
 * a short function that many different functions allocate through. Where the name only hints
 * (leak_malloc, allocate_memory), two callers are needed. Patterns of the user's add to these.
 *
 * A library in the linker's own directories that has no debug information is passed over as well,
 * up to who calls it; if that is code without names, the library's innermost name is as good as it
 * gets.
 */
#ifndef ML_REPORT_OWNER_H
#define ML_REPORT_OWNER_H

#include "report/report.h"

/**
 * Sets `owner` of every site of @p report that has frames. @p wrappers: shell patterns of functions
 * (demangled, or as in the file) that are wrappers, too; ends with NULL, may be NULL.
 */
void ml_owners_find(struct ml_report *report, const char *const *wrappers);

/** Whether a function called @p symbol is a wrapper by its name. For tests. */
bool ml_owner_is_wrapper_name(const char *symbol);

#endif

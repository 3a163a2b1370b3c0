/* SPDX-License-Identifier: BSD-2-Clause */
/** Outermost frames that CFI does not tell, where a walk is complete all the same, and a switch to
 * another stack where it goes on. */
#ifndef ML_UNWIND_OUTERMOST_H
#define ML_UNWIND_OUTERMOST_H

#include "unwind/functions.h"

/**
 * When the entry point of @p module has no CFI (musl), marks it and the other places of its
 * start-up code where stacks begin: the calls of main and of a thread's function, and the return of
 * signal handlers. In glibc, marks the start of coroutines; in Boost.Context, of fibers; in Go, the
 * calls of C from a goroutine. @p functions must be sorted, and is afterwards.
 */
void ml_outermost_mark(struct ml_module *module, const struct ml_text *text,
		       struct ml_functions *functions);

#endif

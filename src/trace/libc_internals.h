/* SPDX-License-Identifier: BSD-2-Clause */
/** The C library's own mmaps in a static program, where its file does not tell it apart. */
#ifndef ML_TRACE_LIBC_INTERNALS_H
#define ML_TRACE_LIBC_INTERNALS_H

#include "model/snapshot.h"

#include <stdbool.h>

/** True when @p stack is that of an mmap by a static program's own C library. */
bool ml_libc_internal_stack(const struct ml_stack *stack);

#endif

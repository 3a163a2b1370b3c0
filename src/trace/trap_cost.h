/* SPDX-License-Identifier: BSD-2-Clause */
/** What the kernel takes for getting into and out of a probe here, measured on ourselves. */
#ifndef ML_TRACE_TRAP_COST_H
#define ML_TRACE_TRAP_COST_H

#include "trace/uprobe_link.h"

/**
 * CPU nanoseconds of one probe hit on a `nop` with an empty program; -1 when it cannot be measured.
 * An error, with ml_error_code(), when the kernel does not let us probe even ourselves.
 */
struct ml_error *ml_trap_cost_measure(enum ml_link_kind kind, double *cost_ns);

#endif

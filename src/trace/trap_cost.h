/* SPDX-License-Identifier: BSD-2-Clause */
/** What the kernel takes for getting into and out of a probe here, measured on ourselves. */
#ifndef ML_TRACE_TRAP_COST_H
#define ML_TRACE_TRAP_COST_H

#include "trace/uprobe_link.h"

/** CPU nanoseconds of one probe hit on a `nop` with an empty program; -1 when it cannot be
 * measured. */
double ml_trap_cost_ns(enum ml_link_kind kind);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/** Programs that lock their memory. */
#ifndef ML_TRACE_AGENT_LOCK_H
#define ML_TRACE_AGENT_LOCK_H

#include "base/u64map.h"
#include "trace/code_map.h"

/**
 * The name of a module in @p code that calls mlockall(2), borrowed from it; NULL when none does.
 * @p known has what was found of modules before: their imports are gone through once, however many
 * processes have them.
 * That call fills every mapping there is, also the agent's memory, of which otherwise only what is
 * used is there.
 */
const char *ml_agent_lock_find(const struct ml_code_map *code, struct ml_u64map *known);

#endif

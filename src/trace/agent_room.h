/* SPDX-License-Identifier: BSD-2-Clause */
/** How much memory the agent's books may take: they are the target's, under its limits. */
#ifndef ML_TRACE_AGENT_ROOM_H
#define ML_TRACE_AGENT_ROOM_H

#include "base/error.h"

#include <stdint.h>
#include <sys/types.h>

/**
 * What the books of blocks in process @p pid may grow to in @p bytes: a part of what is left to the
 * limit of its cgroup or to the machine, so that it is not killed for our books. ML_ERROR_TARGET
 * when too little is left.
 */
struct ml_error *ml_agent_room_find(pid_t pid, uint64_t *bytes);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/** The threads of a process as the tool numbers them, by the tids the agent sees: in a pid
 * namespace of its own a process has others. */
#ifndef ML_TRACE_AGENT_TIDS_H
#define ML_TRACE_AGENT_TIDS_H

#include "base/u64map.h"
#include "model/snapshot.h"
#include "target/process.h"

/** All-zero is ready. */
struct ml_agent_tids {
	struct ml_u64map by_inner; /* tid → struct ml_agent_tid *, owned */
	uint64_t looked_ns;        /* when all threads were looked at */
};

struct ml_agent_tid {
	pid_t tid;        /**< the tool's; the agent's when it is not known */
	char comm[17];    /**< its name when it was last read */
	uint64_t read_ns; /**< when that was */
};

/**
 * The thread that @p process (NULL: gone) knows as @p inner, its name not older than @p time_ns if
 * it is still there. Lives until the next call.
 */
const struct ml_agent_tid *ml_agent_tids_get(struct ml_agent_tids *tids,
					     const struct ml_process *process, uint32_t inner,
					     uint64_t time_ns);

/** Puts the tool's tids into the blocks of @p snapshot from number @p first on. */
void ml_agent_tids_translate(struct ml_agent_tids *tids, const struct ml_process *process,
			     struct ml_snapshot *snapshot, size_t first);

void ml_agent_tids_deinit(struct ml_agent_tids *tids);

#endif

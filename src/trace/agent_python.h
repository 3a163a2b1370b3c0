/* SPDX-License-Identifier: BSD-2-Clause */
/** The Python functions in an agent's stacks: they are named as soon as there is a new stack, for
 * code objects are freed, and processes end. */
#ifndef ML_TRACE_AGENT_PYTHON_H
#define ML_TRACE_AGENT_PYTHON_H

#include "base/u64map.h"
#include "trace/python_stack.h"

/** Those of one process. All-zero is ready. */
struct ml_agent_pythons {
	struct ml_python python;
	struct ml_python_names *names; /**< NULL until there are some */
	struct ml_u64map named;        /* stack id → struct ml_python_stack *, owned */
};

/** Names the functions of stack @p id, which @p record holds, unless they are. @p process is NULL
 * when it is gone. */
void ml_agent_pythons_name(struct ml_agent_pythons *pythons, const struct ml_process *process,
			   uint64_t id, const struct ml_python_record *record);

/** Hands over what stack @p id has (free() it), NULL when it has nothing. */
struct ml_python_stack *ml_agent_pythons_take(struct ml_agent_pythons *pythons, uint64_t id);

void ml_agent_pythons_deinit(struct ml_agent_pythons *pythons);

#endif

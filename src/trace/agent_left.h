/* SPDX-License-Identifier: BSD-2-Clause */
/** What other memleaks have put into a process. */
#ifndef ML_TRACE_AGENT_LEFT_H
#define ML_TRACE_AGENT_LEFT_H

#include "target/process.h"
#include "trace/tracer.h"

/**
 * Takes out what memleaks that were killed left in @p process, or what it has inherited of a traced
 * parent, and notes it. ML_ERROR_TARGET when another memleak is at work in it: a probe on a patched
 * function would end the process, as the kernel takes the instruction there for the file's.
 */
struct ml_error *ml_agent_left_clean(const struct ml_process *process,
				     const struct ml_tracer_options *options);

#endif

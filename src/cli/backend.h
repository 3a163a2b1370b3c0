/* SPDX-License-Identifier: BSD-2-Clause */
/** Which way of tracing is taken: as the user said, or what works here. */
#ifndef ML_CLI_BACKEND_H
#define ML_CLI_BACKEND_H

#include "base/error.h"
#include "cli/options.h"
#include "cli/session.h"
#include "trace/tracer.h"

/**
 * Makes the tracer for @p options. With --backend auto that is bpf, or where eBPF does not work the
 * agent, which is said in one line. @p wanted is borrowed by the tracer.
 */
struct ml_error *ml_backend_create(const struct ml_options *options,
				   const struct ml_tracer_options *wanted, struct ml_tracer **out);

/**
 * With --backend auto, to be called once the targets are attached and before the user is told so:
 * looks for a moment whether tracing costs busy targets more than --max-overhead, and moves to the
 * agent then, which is said in one line. What was booked in that moment is forgotten, so that all
 * the user sees is of one way of tracing. Idle targets stay with bpf, at no delay. @p wanted may be
 * changed: the agent samples when it would be over the limit too.
 */
struct ml_error *ml_backend_settle(struct ml_session *session, struct ml_tracer_options *wanted);
#endif

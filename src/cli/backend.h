/* SPDX-License-Identifier: BSD-2-Clause */
/** Which way of tracing is taken: as the user said, or what works here. */
#ifndef ML_CLI_BACKEND_H
#define ML_CLI_BACKEND_H

#include "base/error.h"
#include "cli/options.h"
#include "trace/tracer.h"

/**
 * Makes the tracer for @p options. With --backend auto that is bpf, or where eBPF does not work the
 * agent, which is said in one line. @p wanted is borrowed by the tracer.
 */
struct ml_error *ml_backend_create(const struct ml_options *options,
				   const struct ml_tracer_options *wanted, struct ml_tracer **out);

/** What the agent cannot do of what @p options ask, NULL when it can do all. */
const char *ml_backend_agent_lacks(const struct ml_options *options);

#endif

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

/** What is known of the cost of tracing. All-zero to begin with. */
struct ml_backend_watch {
	double cpu_s, probes_s;               /**< of the targets, of that the tracer's, so far */
	double window_cpu_s, window_probes_s; /**< lately */
	unsigned int looks_over;              /**< looks in a row at which it was over the limit */
	bool is_settled;                      /**< nothing more can be done */
};

/**
 * With --backend auto, to be called once the targets are attached and before the user is told so:
 * looks for a moment whether tracing costs busy targets more than --max-overhead, and moves to the
 * agent then, which is said in one line. Idle targets stay with bpf, at no delay. @p wanted is
 * borrowed by the agent.
 */
void ml_backend_settle(struct ml_session *session, struct ml_tracer_options *wanted,
		       struct ml_backend_watch *watch);

/** The same while the session runs, every ML_SESSION_LOOK_NS; what was booked until then stays in
 * the books. */
void ml_backend_look(struct ml_session *session, struct ml_tracer_options *wanted,
		     struct ml_backend_watch *watch);

#endif

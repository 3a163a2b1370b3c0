/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * What a call takes the agent, measured: now and then the kernel's clock looks where the target's
 * threads are, and how many of the looks find them in the agent is its share of their time.
 */
#ifndef ML_TRACE_AGENT_PROFILE_H
#define ML_TRACE_AGENT_PROFILE_H

#include "base/error.h"
#include "shared/agent_abi.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct ml_agent_profile;

/** An error where perf events on all CPUs are not permitted. */
struct ml_error *ml_agent_profile_open(struct ml_agent_profile **out);
/** NULL is fine, here and below. */
void ml_agent_profile_close(struct ml_agent_profile *profile);

/** Process @p pid has an agent whose memory begins with @p header (borrowed until it is dropped).
 */
void ml_agent_profile_add(struct ml_agent_profile *profile, pid_t pid,
			  const struct ml_agent_header *header);
void ml_agent_profile_drop(struct ml_agent_profile *profile, pid_t pid);

/** To be called a few times a second, with the calls of all so far. */
void ml_agent_profile_tick(struct ml_agent_profile *profile, uint64_t events);

/** What was found counts no more: calls have become others. */
void ml_agent_profile_begin_anew(struct ml_agent_profile *profile);

/** CPU nanoseconds of a call lately; < 0 while too little is known. */
double ml_agent_profile_call_ns(const struct ml_agent_profile *profile);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/** How much CPU time the agents' calls take from the targets. */
#ifndef ML_TRACE_AGENT_METER_H
#define ML_TRACE_AGENT_METER_H

#include "trace/agent_processes.h"
#include "trace/tracer.h"

struct ml_agent_meter {
	double cost_s;   /**< of the calls counted, by what they took at the time */
	uint64_t events; /**< counted in cost_s */
};

/** What the calls so far have cost. */
void ml_agent_meter_read(struct ml_agent_meter *meter, const struct ml_agent_processes *processes,
			 struct ml_tracer_cost *out);

/** Tells the user what a call takes. */
void ml_agent_meter_note(const struct ml_agent_processes *processes);

#endif

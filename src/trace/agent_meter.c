/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/agent_meter.h"

#include <stdio.h>

/* What a call takes the agent, for the estimate of its cost: measured in loops, and
 * rounded up for what real programs miss in the caches. Its clock would cost as much as it does. */
#define CALL_NS         12.0
#define SAMPLED_CALL_NS 3.0
#define TRACED_CALL_NS  150.0 /* --trace: it asks for the time */

/* Measured, or while too little is known, estimated. */
static double call_ns(const struct ml_agent_processes *processes)
{
	const struct ml_tracer_options *options = processes->common.options;
	double measured_ns = ml_agent_profile_call_ns(processes->profile);

	if (measured_ns >= 0)
		return measured_ns;
	if (options->trace_calls)
		return TRACED_CALL_NS;
	return options->sample_bytes ? SAMPLED_CALL_NS : CALL_NS;
}

void ml_agent_meter_read(struct ml_agent_meter *meter, const struct ml_agent_processes *processes,
			 struct ml_tracer_cost *out)
{
	out->events = ml_agent_processes_events(processes);
	if (out->events > meter->events)
		meter->cost_s += (double)(out->events - meter->events) * call_ns(processes) / 1e9;
	meter->events = out->events;
	out->target_cpu_s = meter->cost_s;
}

void ml_agent_meter_note(const struct ml_agent_processes *processes)
{
	double measured_ns = ml_agent_profile_call_ns(processes->profile);
	char text[96];

	snprintf(text, sizeof(text), "a call takes the agent %.1f ns, %s", call_ns(processes),
		 measured_ns < 0 ? "as estimated" : "as measured lately");
	ml_agent_processes_note(processes, text);
}

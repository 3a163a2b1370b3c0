/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/backend.h"

#include "cli/note.h"

const char *ml_backend_agent_lacks(const struct ml_options *options)
{
	if (ml_options_is_kernel(options))
		return "the kernel's allocators";
	if (options->trace_calls)
		return "--trace";
	if (options->sample_bytes)
		return "--sample-bytes";
	return NULL;
}

static struct ml_error *create_agent(const struct ml_options *options,
				     const struct ml_tracer_options *wanted, struct ml_tracer **out)
{
	const char *lacks = ml_backend_agent_lacks(options);

	return lacks ? ml_error_new(ML_ERROR_USAGE, "--backend agent cannot be used with %s yet",
				    lacks)
		     : ml_agent_tracer_create(wanted, out);
}

struct ml_error *ml_backend_create(const struct ml_options *options,
				   const struct ml_tracer_options *wanted, struct ml_tracer **out)
{
	struct ml_error *error, *refused;

	if (options->backend == ML_BACKEND_AGENT)
		return create_agent(options, wanted, out);
	if (ml_options_is_kernel(options))
		return ml_kernel_tracer_create(wanted, out);
	refused = ml_bpf_tracer_create(wanted, out);
	if (!refused || options->backend == ML_BACKEND_BPF || ml_backend_agent_lacks(options))
		return refused;
	error = ml_agent_tracer_create(wanted, out);
	if (!error)
		ml_note("tracing from inside the process (agent), for eBPF does not work here: %s",
			ml_error_message(refused));
	ml_error_free(refused);
	return error;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/backend.h"

#include "base/clock.h"
#include "cli/note.h"
#include "target/maps.h"

#include <string.h>
#include <unistd.h>

/* /proc counts CPU time in ticks; a target that used fewer than two while it was attached to and a
 * moment longer has no cost to speak of. */
#define TICK_S     0.01
#define IDLE_CPU_S 0.015
#define IDLE_US    60000
/* How long the cost of busy targets is looked at. */
#define LOOK_US 200000

/* What a call takes the agent when it books everything (docs/PERFORMANCE.md, a pair in a loop), and
 * how it samples when that is too much. */
#define AGENT_CALL_S  20e-9
#define SAMPLED_BYTES (512u << 10)

static struct ml_error *create_agent(const struct ml_options *options,
				     const struct ml_tracer_options *wanted, struct ml_tracer **out)
{
	if (ml_options_is_kernel(options))
		return ml_error_new(ML_ERROR_USAGE, "--backend agent cannot be used with the "
						    "kernel's allocators");
	return ml_agent_tracer_create(wanted, out);
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
	if (!refused || options->backend == ML_BACKEND_BPF)
		return refused;
	error = ml_agent_tracer_create(wanted, out);
	if (!error)
		ml_note("tracing from inside the process (agent), for eBPF does not work here: %s",
			ml_error_message(refused));
	ml_error_free(refused);
	return error;
}

/* ---- what tracing costs -----------------------------------------------------------------------
 */

/* The agent does not read Python's frames yet, which are worth more than time; and a JVM is not
 * patched without being asked to. */
static bool has_interpreter(const struct ml_process *process)
{
	struct ml_maps maps = {0};
	ML_ERROR_CLEANUP struct ml_error *error = ml_process_maps(process, &maps);
	bool found = false;

	ml_array_each (mapping, &maps.list)
		found = found ||
			(!error && mapping->is_executable &&
			 (strstr(mapping->path, "/libpython") || strstr(mapping->path, "/python") ||
			  strstr(mapping->path, "/libjvm.so")));
	ml_maps_deinit(&maps);
	return found;
}

static bool have_interpreter(const struct ml_targets *targets)
{
	ml_array_each (it, &targets->list)
		if (!it->has_ended && it->process && has_interpreter(it->process))
			return true;
	return false;
}

/* What a moment says. */
struct burden {
	double share;    /* by how much the targets are slowed down */
	double events_s; /* calls in a CPU second of their own */
};

/* False when the targets are idle. */
static bool measure(struct ml_session *session, struct burden *out)
{
	struct ml_tracer *tracer = session->tracer;
	struct ml_tracer_cost before = {0}, after = {0};
	double cpu_s = ml_targets_cpu_s(&session->targets), probes_s, own_s;

	if (cpu_s < IDLE_CPU_S) {
		usleep(IDLE_US);
		cpu_s = ml_targets_cpu_s(&session->targets);
	}
	if (cpu_s < IDLE_CPU_S)
		return false;
	tracer->ops->cost(tracer, &before);
	cpu_s = ml_targets_cpu_s(&session->targets);
	usleep(LOOK_US);
	cpu_s = ml_targets_cpu_s(&session->targets) - cpu_s;
	tracer->ops->cost(tracer, &after);
	if (after.target_cpu_s < 0 || !after.events || cpu_s < IDLE_CPU_S)
		return false;
	probes_s =
		(double)(after.events - before.events) * after.target_cpu_s / (double)after.events;
	own_s = cpu_s - probes_s > TICK_S ? cpu_s - probes_s : TICK_S;
	*out = (struct burden){.share = probes_s / own_s,
			       .events_s = (double)(after.events - before.events) / own_s};
	return true;
}

/* ---- the move ---------------------------------------------------------------------------------
 */

static void tell_why_not(double share, const char *why)
{
	ml_note("tracing from the kernel (bpf) slows the process down by %.0f %%, over "
		"--max-overhead; it stays so: %s",
		share * 100, why);
}

static struct ml_error *return_to_bpf(struct ml_session *session,
				      const struct ml_tracer_options *wanted)
{
	struct ml_tracer *tracer;
	struct ml_error *error = ml_bpf_tracer_create(wanted, &tracer);

	return error ? error : ml_session_change_tracer(session, tracer);
}

static struct ml_error *move(struct ml_session *session, struct ml_tracer_options *wanted,
			     double share)
{
	struct ml_tracer *tracer;
	ML_ERROR_CLEANUP struct ml_error *error = ml_agent_tracer_create(wanted, &tracer);

	if (!error)
		error = ml_session_change_tracer(session, tracer);
	session->reporter.sample_bytes = wanted->sample_bytes;
	if (error) {
		session->reporter.sample_bytes = session->options->sample_bytes;
		tell_why_not(share, ml_error_message(error));
		wanted->sample_bytes = session->options->sample_bytes;
		return return_to_bpf(session, wanted);
	}
	ml_note("tracing from inside the process (agent%s): from the kernel it would be slowed "
		"down by %.0f %%, over --max-overhead",
		wanted->sample_bytes == session->options->sample_bytes ? "" : ", sampling by bytes",
		share * 100);
	return NULL;
}

struct ml_error *ml_backend_settle(struct ml_session *session, struct ml_tracer_options *wanted)
{
	const struct ml_options *options = session->options;
	struct burden burden;

	/* The agent needs ptrace for itself. */
	if (session->watches_end || options->backend != ML_BACKEND_AUTO ||
	    strcmp(session->tracer->ops->name, "bpf") != 0 || !measure(session, &burden) ||
	    burden.share <= options->max_overhead)
		return NULL;
	if (have_interpreter(&session->targets)) {
		if (ml_options_has(options, ML_OPTION_MAX_OVERHEAD))
			tell_why_not(burden.share,
				     "Python and Java are traced from inside only with "
				     "--backend agent");
		return NULL;
	}
	/* Estimates in place of exact figures only where the limit was given in so many words. */
	if (ml_options_has(options, ML_OPTION_MAX_OVERHEAD) && !wanted->sample_bytes &&
	    wanted->sample_every <= 1 && burden.events_s * AGENT_CALL_S > options->max_overhead)
		wanted->sample_bytes = SAMPLED_BYTES;
	return move(session, wanted, burden.share);
}

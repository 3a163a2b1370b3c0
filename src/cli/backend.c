/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/backend.h"

#include "base/strbuf.h"
#include "cli/note.h"
#include "target/maps.h"
#include "trace/takeover.h"

#include <string.h>
#include <unistd.h>

/* A target that used less while it was attached to and a moment longer has no cost to speak of. */
#define LEAST_CPU_S 0.001
#define IDLE_CPU_S  0.005
#define IDLE_US     60000
/* How long the cost of busy targets is looked at before the user is told that they are traced. */
#define LOOK_US 200000

/* What is counted of the time before, each time it is looked: about three seconds count. */
#define KEPT_SHARE 0.6
/* So much CPU time must the targets have used in them, a hundredth of a CPU, to be worth a move. */
#define WINDOW_CPU_S 0.03
/* Looks in a row over the limit until something is done: a moment's peak is none. Estimates in
 * place of exact figures come later, unless the limit was given in so many words. */
#define LOOKS_TO_MOVE   2
#define LOOKS_TO_SAMPLE 10

/* How the agent samples when even that is too much. */
#define SAMPLED_BYTES (512u << 10)

static struct ml_error *create_agent(const struct ml_options *options,
				     const struct ml_tracer_options *wanted, struct ml_tracer **out)
{
	if (ml_options_is_kernel(options))
		return ml_error_new(ML_ERROR_USAGE, "--backend agent cannot be used with the "
						    "kernel's allocators");
	return ml_agent_tracer_create(wanted, out);
}

/* One that can move to the agent, unless that is forbidden. */
static struct ml_error *create_bpf(const struct ml_options *options,
				   const struct ml_tracer_options *wanted, struct ml_tracer **out)
{
	struct ml_tracer *bpf;
	struct ml_error *error = ml_bpf_tracer_create(wanted, &bpf);

	if (error || options->backend == ML_BACKEND_BPF) {
		*out = bpf;
		return error;
	}
	return ml_moving_tracer_create(bpf, out);
}

struct ml_error *ml_backend_create(const struct ml_options *options,
				   const struct ml_tracer_options *wanted, struct ml_tracer **out)
{
	struct ml_error *error, *refused;

	if (options->backend == ML_BACKEND_AGENT)
		return create_agent(options, wanted, out);
	if (ml_options_is_kernel(options))
		return ml_kernel_tracer_create(wanted, out);
	refused = create_bpf(options, wanted, out);
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

/* A JVM is not patched without being asked to. */
static bool is_jvm(const struct ml_process *process)
{
	struct ml_maps maps = {0};
	ML_ERROR_CLEANUP struct ml_error *error = ml_process_maps(process, &maps);
	bool found = false;

	ml_array_each (mapping, &maps.list)
		found = found ||
			(!error && mapping->is_executable && strstr(mapping->path, "/libjvm.so"));
	ml_maps_deinit(&maps);
	return found;
}

static bool have_jvm(const struct ml_targets *targets)
{
	ml_array_each (it, &targets->list)
		if (!it->has_ended && it->process && is_jvm(it->process))
			return true;
	return false;
}

/* By how much the targets are slowed down, when @probes_s of @cpu_s were the tracer's. */
static double share_of(double probes_s, double cpu_s)
{
	double own_s = cpu_s - probes_s;

	return probes_s / (own_s > LEAST_CPU_S ? own_s : LEAST_CPU_S);
}

/* Takes note of what was used since the last time. False when that is not known. */
static bool read_costs(struct ml_session *session, struct ml_backend_watch *watch)
{
	struct ml_tracer *tracer = session->tracer;
	double cpu_s = ml_targets_cpu_s(&session->targets);
	struct ml_tracer_cost cost = {.target_cpu_s = -1};

	tracer->ops->cost(tracer, &cost);
	if (cost.target_cpu_s < 0)
		return false;
	watch->window_cpu_s = watch->window_cpu_s * KEPT_SHARE + cpu_s - watch->cpu_s;
	watch->window_probes_s =
		watch->window_probes_s * KEPT_SHARE + cost.target_cpu_s - watch->probes_s;
	watch->cpu_s = cpu_s;
	watch->probes_s = cost.target_cpu_s;
	return true;
}

static void begin_window(struct ml_backend_watch *watch)
{
	watch->window_cpu_s = watch->window_probes_s = 0;
	watch->looks_over = 0;
}

/* A moment of busy targets; false when they are idle. */
static bool look_for_a_moment(struct ml_session *session, struct ml_backend_watch *watch)
{
	double cpu_s = ml_targets_cpu_s(&session->targets);

	if (cpu_s < IDLE_CPU_S) {
		usleep(IDLE_US);
		cpu_s = ml_targets_cpu_s(&session->targets);
	}
	if (cpu_s < IDLE_CPU_S || !read_costs(session, watch))
		return false;
	begin_window(watch);
	usleep(LOOK_US);
	return read_costs(session, watch) && watch->window_cpu_s >= IDLE_CPU_S;
}

/* ---- the moves --------------------------------------------------------------------------------
 */

static void stay(struct ml_backend_watch *watch, double share, const char *why)
{
	watch->is_settled = true;
	ml_note("tracing from the kernel (bpf) slows the process down by %.0f %%, over "
		"--max-overhead; it stays so: %s",
		share * 100, why);
}

static void tell_move(const struct ml_move *move, double share)
{
	ML_STRBUF_CLEANUP struct ml_strbuf text = {0};

	ml_strbuf_printf(
		&text,
		"tracing from inside the process (agent) from now on: from the kernel it "
		"is slowed down by %.0f %%, over --max-overhead; its %zu blocks were taken "
		"over (--backend bpf forbids that)",
		share * 100, move->blocks - move->lost);
	if (move->lost)
		ml_strbuf_printf(&text, ", %zu are lost for want of room", move->lost);
	if (move->stayed)
		ml_strbuf_printf(&text, "; %zu of %zu processes stay: %s", move->stayed,
				 move->stayed + move->processes, ml_error_message(move->problem));
	ml_note("%s", text.text);
}

static void move_to_agent(struct ml_session *session, struct ml_tracer_options *wanted,
			  double share, struct ml_backend_watch *watch)
{
	struct ml_move move;
	ML_ERROR_CLEANUP struct ml_error *error =
		ml_moving_tracer_move(session->tracer, wanted, &move);

	begin_window(watch);
	/* All that was traced has ended meanwhile. */
	if (!error && !move.processes && !move.problem)
		return;
	if (error || !move.processes)
		stay(watch, share, ml_error_message(error ? error : move.problem));
	else
		tell_move(&move, share);
	if (!error)
		ml_error_free(move.problem);
}

/* What keeps the targets with bpf, NULL for nothing. */
static const char *reason_to_stay(const struct ml_session *session)
{
	if (session->watches_end)
		return "the command is watched to its end for --fail-on-leak";
	if (have_jvm(&session->targets))
		return "Java is traced from inside only with --backend agent";
	return NULL;
}

static void lighten(struct ml_session *session, struct ml_tracer_options *wanted, double share,
		    struct ml_backend_watch *watch)
{
	const char *why = reason_to_stay(session);

	if (why)
		stay(watch, share, why);
	else
		move_to_agent(session, wanted, share, watch);
}

/* Whether the agent keeps every allocation and may do otherwise. */
static bool can_sample(const struct ml_session *session, const struct ml_tracer_options *wanted)
{
	return session->tracer->ops->sample && !session->watches_end && !wanted->sample_bytes &&
	       wanted->sample_every <= 1;
}

static void sample(struct ml_session *session, struct ml_tracer_options *wanted, double share,
		   struct ml_backend_watch *watch)
{
	wanted->sample_bytes = session->reporter.sample_bytes = SAMPLED_BYTES;
	session->tracer->ops->sample(session->tracer, SAMPLED_BYTES);
	begin_window(watch);
	ml_note("sampling by bytes (%u KiB) from now on: keeping every allocation slows the "
		"process "
		"down by %.0f %%, over --max-overhead; figures are estimates for what is allocated "
		"after this (--backend agent forbids that)",
		SAMPLED_BYTES >> 10, share * 100);
}

static bool is_watched(const struct ml_session *session, const struct ml_backend_watch *watch)
{
	const struct ml_options *options = session->options;

	return !watch->is_settled && options->backend == ML_BACKEND_AUTO &&
	       !ml_options_is_kernel(options) && !options->trace_calls;
}

static bool is_bpf(const struct ml_session *session)
{
	return !strcmp(session->tracer->ops->name, "bpf");
}

void ml_backend_settle(struct ml_session *session, struct ml_tracer_options *wanted,
		       struct ml_backend_watch *watch)
{
	double share;

	if (!is_watched(session, watch) || !is_bpf(session) || !look_for_a_moment(session, watch))
		return;
	share = share_of(watch->window_probes_s, watch->window_cpu_s);
	if (share > session->options->max_overhead)
		lighten(session, wanted, share, watch);
}

static unsigned int looks_to_act(const struct ml_session *session)
{
	return is_bpf(session) || ml_options_has(session->options, ML_OPTION_MAX_OVERHEAD)
		       ? LOOKS_TO_MOVE
		       : LOOKS_TO_SAMPLE;
}

void ml_backend_look(struct ml_session *session, struct ml_tracer_options *wanted,
		     struct ml_backend_watch *watch)
{
	double share;

	if (!is_watched(session, watch) || !read_costs(session, watch))
		return;
	share = share_of(watch->window_probes_s, watch->window_cpu_s);
	if (watch->window_cpu_s < WINDOW_CPU_S || share <= session->options->max_overhead)
		watch->looks_over = 0;
	else if (++watch->looks_over >= looks_to_act(session) && is_bpf(session))
		lighten(session, wanted, share, watch);
	else if (watch->looks_over >= looks_to_act(session) && can_sample(session, wanted))
		sample(session, wanted, share, watch);
}

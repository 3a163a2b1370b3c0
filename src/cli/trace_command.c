/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/trace_command.h"

#include "cli/backend.h"
#include "cli/note.h"
#include "cli/output.h"
#include "cli/session.h"
#include "cli/signals.h"
#include "cli/suppressions.h"

#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

/* What a run holds; cleaned up in one place whatever happened. */
struct run {
	const struct ml_options *options;
	sigset_t mask; /* as it was, for the command */
	struct ml_output output;
	struct ml_record_file record;
	struct ml_suppressions suppressions;
	struct ml_baseline baseline;
	struct ml_command command;
	bool has_command;
	struct ml_tracer_options wanted; /* borrowed by the tracer */
	struct ml_backend_watch watch;
	struct ml_process *process; /* of --pid, until the session takes it over */
	struct ml_session session;
	bool has_session;
	bool is_announced;
};

/* The line scripts wait for: from here on everything is traced. Other formats keep the standard
 * output to themselves. */
static struct ml_error *announce(struct run *run, const char *what)
{
	ML_STRBUF_CLEANUP struct ml_strbuf line = {0};
	bool is_text = run->options->format == &ml_report_text;

	run->is_announced = true;
	/* From here on loaders are to wait for us; a command's, when it has been started. (Calls
	 * are printed after this line.) */
	if (!run->has_command && !run->options->trace_calls)
		ml_session_read_tracer(&run->session);
	ml_strbuf_puts(&line, "Attaching to ");
	ml_strbuf_escaped(&line, what);
	ml_strbuf_puts(&line, ", Ctrl+C to quit.\n");
	if (is_text) {
		struct ml_output standard = {STDOUT_FILENO, "standard output", true};

		return ml_output_write(&standard, line.text, line.length);
	}
	fputs(line.text, stderr);
	return NULL;
}

static struct ml_error *announce_pid(struct run *run, pid_t pid)
{
	char what[32];

	snprintf(what, sizeof(what), "pid %d", (int)pid);
	return announce(run, what);
}

/* Who follows a process holds it by ptrace, which one at a time can do. */
static bool ptrace_turn(void *context, pid_t pid, bool begins)
{
	struct run *run = context;

	return !run->has_session || ml_session_ptrace_turn(&run->session, pid, begins);
}

static void look_after_followed(void *context)
{
	const struct run *run = context;

	if (run->has_session && run->session.follow)
		ml_follow_dispatch(run->session.follow);
}

static struct ml_error *create_tracer(struct run *run, struct ml_tracer **out)
{
	const struct ml_options *options = run->options;

	run->wanted = (struct ml_tracer_options){
		.min_size = options->min_size,
		.max_size = options->max_size,
		.sample_every = options->sample_every,
		.sample_bytes = options->sample_bytes,
		.max_depth = (uint32_t)options->max_depth,
		.max_stacks = (uint32_t)options->max_stacks,
		.max_blocks = (uint32_t)options->max_blocks,
		.trace_calls = options->trace_calls,
		.wa_missing_free = options->wa_missing_free,
		.percpu = options->percpu,
		.verbose = options->verbose,
		.allocators =
			{
				.object = options->object,
				.symbols_prefix = options->symbols_prefix,
				.alloc_fns = options->alloc_fns.items,
				.free_fns = options->free_fns.items,
			},
		.note = ml_note_callback,
		.ptrace_turn = ptrace_turn,
		.meanwhile = look_after_followed,
		.turn_context = run,
	};
	return ml_backend_create(options, &run->wanted, out);
}

/* Probes and processes cost descriptors. After the command was started, which keeps its limits. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur == limit.rlim_max)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static void look_at_cost(void *context)
{
	struct run *run = context;

	ml_backend_look(&run->session, &run->wanted, &run->watch);
}

static struct ml_error *create_session(struct run *run)
{
	const struct ml_options *options = run->options;
	struct ml_tracer *tracer;

	raise_descriptor_limit();
	struct ml_error *error = create_tracer(run, &tracer);

	if (error)
		return error;
	struct ml_report_writer writer = {
		.options = options,
		.suppressions = options->suppressions ? &run->suppressions : NULL,
		.baseline = options->baseline ? &run->baseline : NULL,
		.output = &run->output,
	};

	run->has_session = true;
	error = ml_session_init(&run->session, options, tracer, &writer,
				run->record.recorder ? &run->record : NULL);
	run->session.look = look_at_cost;
	run->session.look_context = run;
	return error;
}

static struct ml_error *attach_kernel(struct run *run)
{
	struct ml_tracer *tracer = run->session.tracer;
	struct ml_error *error = tracer->ops->attach_kernel(tracer);

	return error ? error : announce(run, "kernel allocators");
}

static struct ml_error *attach_pid(struct run *run)
{
	pid_t pid = ml_process_pid(run->process);
	struct ml_error *error = ml_session_add(&run->session, run->process);

	run->process = NULL;
	if (!error)
		ml_backend_settle(&run->session, &run->wanted, &run->watch);
	if (!error && run->options->follow)
		error = ml_session_follow(&run->session, pid);
	return error ? error : announce_pid(run, pid);
}

/* How many targets are attached; @p problem (borrowed) gets why the last of the others is not. */
static size_t attached_targets(const struct ml_targets *targets, const struct ml_error **problem)
{
	size_t attached = 0;

	*problem = NULL;
	ml_array_each (it, &targets->list) {
		attached += it->is_attached;
		if (!it->is_attached && it->problem)
			*problem = it->problem;
	}
	return attached;
}

static struct ml_error *follow_all(struct ml_session *session)
{
	struct ml_error *error = NULL;

	/* By index: following adds targets. */
	for (size_t i = 0; !error && i < session->targets.list.count; i++) {
		if (!session->targets.list.items[i].has_ended)
			error = ml_session_follow(session, session->targets.list.items[i].pid);
	}
	return error;
}

static struct ml_error *attach_container(struct run *run)
{
	const char *name = run->options->container;
	struct ml_session *session = &run->session;
	struct ml_error *error = ml_session_add_members(session);
	const struct ml_error *problem;
	char what[300];

	if (error)
		return error;
	size_t attached = attached_targets(&session->targets, &problem);

	if (!attached && problem)
		return ml_error_new(ml_error_kind(problem), "container %s: %s", name,
				    ml_error_message(problem));
	if (!attached)
		return ml_error_new(ML_ERROR_TARGET,
				    "no process that can be traced has '%s' in its cgroup (see "
				    "/proc/PID/cgroup; container runtimes put the id there)",
				    name);
	ml_backend_settle(session, &run->wanted, &run->watch);
	if (run->options->follow)
		error = follow_all(session);
	snprintf(what, sizeof(what), "%zu process%s of container %.200s", attached,
		 attached == 1 ? "" : "es", name);
	return error ? error : announce(run, what);
}

/* Called with the command stopped, once something executable was mapped: its allocator may be there
 * only after a few of these. */
static struct ml_error *command_mapped(void *context)
{
	struct run *run = context;
	struct ml_targets *targets = &run->session.targets;
	pid_t pid = ml_command_pid(&run->command);
	struct ml_target *target = ml_targets_find(targets, pid);

	if (!target) {
		struct ml_process *process;
		struct ml_error *error = ml_process_open(pid, &process);

		if (!error)
			error = ml_targets_add(targets, process);
		if (error)
			return error;
		target = ml_targets_find(targets, pid);
	}
	ml_process_set_held(target->process, true);

	bool is_attached = ml_targets_attach(targets, target);

	ml_process_set_held(target->process, false);
	return is_attached && !run->is_announced ? announce_pid(run, pid) : NULL;
}

static bool watches_end(const struct run *run)
{
	const char *obstacle = ml_lost_blocks_obstacle(run->options);

	if (!ml_lost_blocks_wanted(run->options, run->session.tracer))
		return false;
	if (obstacle)
		ml_note("with %s the command is not searched at its end for blocks that nothing "
			"points to: only what grows while it runs is a leak",
			obstacle);
	return !obstacle;
}

/* The agent is gone with an exec, and of others nobody may tell in time: so the command is
 * followed, not its children ("env X=1 server", "sh -c 'exec server'"). One kept to its end is
 * followed by that. */
static struct ml_error *attach_command(struct run *run)
{
	pid_t pid = ml_command_pid(&run->command);
	bool follows;

	run->session.watches_end = watches_end(run);
	follows = run->options->follow ||
		  (!run->session.watches_end && !ml_tracer_outlives_exec(run->session.tracer));
	if (run->session.watches_end)
		ml_launch_keep_to_end(run->command.launch);
	struct ml_error *error =
		follows ? ml_session_follow_launch(&run->session, run->command.launch, pid)
			: ml_launch_run(run->command.launch, command_mapped, run);
	/* The command is the first of the list; it may have ended by now. */
	struct ml_target *target =
		run->session.targets.list.count ? run->session.targets.list.items : NULL;

	if (error)
		return error;
	if (!target || !target->is_attached) {
		ml_command_peek(&run->command);
		if (target && !run->command.has_ended)
			ml_command_kill(&run->command);
		if (!target || !target->problem)
			return ml_error_new(ML_ERROR_TARGET, "the command ended in its start-up");
		error = target->problem;
		target->problem = NULL;
		return error;
	}
	/* The way up left notes about parts not there yet. */
	ml_error_free(target->problem);
	target->problem = NULL;
	return run->is_announced ? NULL : announce_pid(run, pid);
}

/* What can fail without touching anything. Files may be pipes that nobody reads or writes yet. */
static struct ml_error *open_files(struct run *run)
{
	const struct ml_options *options = run->options;
	bool records = ml_options_records(options);
	struct ml_error *error = NULL;

	if (options->live)
		error = ml_live_check();
	if (!error && options->suppressions)
		error = ml_suppressions_read(options->suppressions, &run->suppressions);
	if (!error && options->baseline)
		error = ml_baseline_read(options->baseline, &run->baseline);
	if (!error && options->pid == (uint64_t)getpid())
		error = ml_error_new(ML_ERROR_USAGE, "--pid: memleak cannot trace itself");
	if (!error && options->pid)
		error = ml_process_open((pid_t)options->pid, &run->process);
	if (!error)
		error = ml_output_open(records ? NULL : options->output, &run->output);
	if (!error && records)
		error = ml_record_file_open(options->output, &run->record);
	return error;
}

static struct ml_error *prepare(struct run *run)
{
	const struct ml_options *options = run->options;
	struct ml_error *error;

	ml_signals_may_end(true);
	error = open_files(run);
	ml_signals_may_end(false);
	if (!error && (options->command || options->words)) {
		error = ml_command_start(options, &run->mask, &run->command);
		run->has_command = !error;
	}
	return error ? error : create_session(run);
}

static struct ml_error *attach(struct run *run)
{
	if (run->process)
		return attach_pid(run);
	if (run->has_command)
		return attach_command(run);
	if (run->options->container)
		return attach_container(run);
	return attach_kernel(run);
}

/* Prints @p error (taken over) and says which exit status it means. */
static int report_failure(struct run *run, struct ml_error *error)
{
	int status = ml_error_kind(error) == ML_ERROR_USAGE ? ML_EXIT_USAGE : ML_EXIT_FAILED;

	/* The reader went away: a quiet end. */
	if (ml_error_code(error) == EPIPE) {
		ml_error_free(error);
		return ML_EXIT_DONE;
	}
	/* A target that cannot be traced is not one that ended too early, even if it was killed for
	 * that. */
	if (run->has_session && run->session.targets.list.count &&
	    ml_error_kind(error) != ML_ERROR_UNSUPPORTED) {
		ml_targets_reap(&run->session.targets);
		if (!ml_targets_alive(&run->session.targets) &&
		    !run->session.reporter.writer.has_written)
			status = ML_EXIT_TARGET_GONE;
	}
	ml_note("%s", ml_error_message(error));
	ml_error_free(error);
	return status;
}

/* Whoever started a command wants to know that it was left alone. */
static void tell_command(struct run *run)
{
	ml_command_peek(&run->command);
	if (!run->command.has_ended)
		ml_note("the command goes on, no longer traced (pid %d)",
			(int)ml_command_pid(&run->command));
}

static struct ml_error *trace(struct run *run)
{
	struct ml_error *error = prepare(run);

	if (run->has_session && run->has_command)
		run->session.command = &run->command;
	if (!error)
		error = attach(run);
	if (error)
		return error;
	error = ml_session_run(&run->session);
	if (!error && run->has_command)
		tell_command(run);
	return error;
}

int ml_trace_command(const struct ml_options *options)
{
	struct run run = {.options = options, .output = {.fd = -1}};
	int status = ML_EXIT_DONE;

	ml_signals_block(&run.mask);
	struct ml_error *error = trace(&run);

	if (!error)
		error = ml_output_close(&run.output);
	if (!error)
		error = ml_record_file_end(&run.record);
	if (error)
		status = report_failure(&run, error);
	else
		status = ml_leak_summary_exit(&run.session.reporter.writer.summary, options);
	if (run.has_session)
		ml_session_deinit(&run.session);
	if (run.has_command)
		ml_command_deinit(&run.command);
	ml_process_close(run.process);
	ml_error_free(ml_output_close(&run.output));
	ml_record_file_deinit(&run.record);
	ml_baseline_deinit(&run.baseline);
	ml_suppressions_deinit(&run.suppressions);
	return status;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/** Processes that join a session: a container's, and the children of those followed. */
#include "base/clock.h"
#include "cli/note.h"
#include "cli/session.h"
#include "target/proc.h"

#include <dirent.h>
#include <poll.h>
#include <unistd.h>

#define WALKS_MAX 16 /* bounds a tree that grows while it is walked */

/* Whether @pid began while tracing went on without it. */
static bool is_late(const struct ml_session *session, pid_t pid)
{
	return session->began_ticks && ml_proc_start_ticks(pid) >= session->began_ticks;
}

/* A process that cannot be opened is told about and left alone: the others matter as well. */
static struct ml_target *open_target(struct ml_session *session, pid_t pid)
{
	struct ml_process *process;
	ML_ERROR_CLEANUP struct ml_error *error = ml_process_open(pid, &process);

	if (!error)
		error = ml_targets_add(&session->targets, process);
	if (error)
		ml_note("process %d is not traced: %s", (int)pid, ml_error_message(error));
	return error ? NULL : ml_targets_find(&session->targets, pid);
}

/* Adds a process that was found, not told of. */
static void add_found(struct ml_session *session, pid_t pid)
{
	struct ml_target *target = open_target(session, pid);

	if (!target)
		return;
	target->is_late = is_late(session, pid);
	ml_targets_attach(&session->targets, target);
}

/* Adds and follows a process that was found; true when it is new. One that our ptrace holds was
 * born of a followed parent: its event tells of it, where it can be attached to. */
static bool add_followed(struct ml_session *session, pid_t pid)
{
	if (ml_proc_tracer(pid) == getpid())
		return false;

	ML_ERROR_CLEANUP struct ml_error *error = ml_follow_add(session->follow, pid);

	/* Between two looks many end. */
	if (error && ml_proc_has_ended(pid))
		return false;
	if (error)
		ml_note("process %d is not followed: %s", (int)pid, ml_error_message(error));
	ml_births_told(session->births, pid);
	if (!ml_targets_find(&session->targets, pid))
		add_found(session, pid);
	return ml_targets_find(&session->targets, pid);
}

static void visit_member(void *context, pid_t pid)
{
	struct ml_session *session = context;
	uint64_t *seen = ml_u64map_put(&session->members_seen, (uint64_t)pid, NULL);
	uint64_t started = ml_proc_start_ticks(pid);

	/* Pids are given out again. */
	if (!started || *seen == started || ml_targets_find(&session->targets, pid))
		return;
	if (session->follow) {
		if (add_followed(session, pid))
			*seen = started;
		return;
	}
	*seen = started;
	add_found(session, pid);
}

struct ml_error *ml_session_add_members(struct ml_session *session)
{
	session->members.name = session->options->container;
	return ml_members_scan(&session->members, visit_member, session);
}

void ml_session_look_for_members(struct ml_session *session)
{
	if (ml_monotonic_ns() - session->members_look_ns < ML_SESSION_MEMBERS_NS)
		return;
	ml_members_scan_new(&session->members, visit_member, session);
	session->members_look_ns = ml_monotonic_ns();
}

bool ml_session_ptrace_turn(struct ml_session *session, pid_t pid, bool begins)
{
	if (session->watches_end)
		return ml_lost_blocks_turn(&session->lost, pid, begins);
	if (!session->follow)
		return true;
	if (begins)
		return ml_follow_leave(session->follow, pid);
	/* One that ended meanwhile is told by its pidfd. */
	ml_error_free(ml_follow_add(session->follow, pid));
	ml_targets_check_exec(&session->targets, pid);
	session->had_turn = true;
	return true;
}

/* With the process standing where our ptrace stopped it. */
static void attach_held(struct ml_session *session, struct ml_target *target)
{
	ml_process_set_held(target->process, true);
	ml_targets_attach(&session->targets, target);
	ml_process_set_held(target->process, false);
}

static bool on_forked(void *context, pid_t parent, pid_t child, bool is_vfork)
{
	struct ml_session *session = context;

	if (!session->options->follow)
		return false;
	ml_births_told(session->births, child);
	/* Until its exec a vfork child runs in its parent's memory, where the books are already
	 * kept. */
	if (is_vfork)
		return true;
	struct ml_target *target = ml_targets_find(&session->targets, child);

	if (!target)
		target = open_target(session, child);
	if (target && !target->is_attached)
		attach_held(session, target);
	return true;
}

static void on_mapped(void *context, pid_t pid, bool is_exec)
{
	struct ml_session *session = context;
	struct ml_target *target = ml_targets_find(&session->targets, pid);

	if (target && is_exec) {
		ml_process_set_held(target->process, true);
		ml_targets_reimage(&session->targets, target);
		ml_process_set_held(target->process, false);
		if (!session->options->follow && !session->is_launching)
			ml_target_note_exec(target);
		return;
	}
	if (!target)
		target = open_target(session, pid);
	if (target)
		attach_held(session, target);
}

struct exec_context {
	struct ml_session *session;
	bool is_known; /* it was said that there is a new image */
};

static struct ml_error *on_command_mapped(void *context)
{
	struct exec_context *exec = context;

	on_mapped(exec->session, ml_command_pid(exec->session->command), !exec->is_known);
	exec->is_known = true;
	return NULL;
}

void ml_session_command_execs(struct ml_session *session)
{
	struct exec_context exec = {.session = session};

	ml_error_free(ml_launch_run_again(session->command->launch, on_command_mapped, &exec));
}

static void on_exited(void *context, pid_t pid, int status)
{
	struct ml_session *session = context;

	if (session->command && status >= 0 && pid == ml_command_pid(session->command))
		ml_command_take_end(session->command, status);
	ml_targets_reap(&session->targets);
}

static const struct ml_follow_events follow_events = {
	.forked = on_forked,
	.mapped = on_mapped,
	.exited = on_exited,
};

/* One walk over /proc; true when a child of a target was added. Attaching takes a while: what those
 * before do meanwhile must not wait for the last. */
static bool add_children(struct ml_session *session)
{
	DIR *proc = opendir("/proc");
	bool is_any_new = false;

	if (!proc)
		return false;
	for (struct dirent *entry; (entry = readdir(proc));) {
		pid_t pid = (pid_t)atoi(entry->d_name);
		struct ml_vitals stat;

		if (pid > 0 && pid != getpid() && !ml_targets_find(&session->targets, pid) &&
		    ml_vitals_read(pid, &stat) && ml_targets_find(&session->targets, stat.parent)) {
			is_any_new = add_followed(session, pid) || is_any_new;
			ml_follow_dispatch(session->follow);
		}
	}
	closedir(proc);
	return is_any_new;
}

static bool is_ours(void *context, pid_t parent)
{
	const struct ml_session *session = context;

	return ml_targets_had(&session->targets, parent);
}

void ml_session_count_missed(struct ml_session *session, bool at_end)
{
	ml_births_read(session->births, is_ours, session);
	session->targets.missed = ml_births_missed(session->births, at_end);
}

void ml_session_look_for_children(struct ml_session *session)
{
	if (!session->options->follow || !session->follow || !session->had_turn)
		return;
	/* Attaching to one takes a turn again. */
	session->had_turn = add_children(session);
}

struct ml_error *ml_session_follow(struct ml_session *session, pid_t pid)
{
	struct ml_error *error;

	if (!session->follow)
		error = ml_follow_start(pid, &follow_events, session, &session->follow);
	else
		error = ml_follow_add(session->follow, pid);
	if (error)
		return ml_error_wrap(error, "--follow");
	/* Children of children: a child may stand before its parent in /proc, so walk again while
	 * any was found. Not /proc/PID/task/TID/children: it needs CONFIG_PROC_CHILDREN. */
	for (unsigned int walks = 0; walks < WALKS_MAX && add_children(session); walks++)
		continue;
	if (!session->births)
		session->births = ml_births_open();
	return NULL;
}

/* A start-up takes milliseconds; a command that has no allocator by then has none. */
#define START_UP_LIMIT_NS (5 * ML_NS_PER_SECOND)
#define START_UP_POLL_MS  10

struct ml_error *ml_session_follow_launch(struct ml_session *session, struct ml_launch *launch,
					  pid_t pid)
{
	struct ml_error *error;

	if (session->options->follow)
		session->births = ml_births_open();
	session->is_launching = true;
	error = ml_follow_launch(launch, &follow_events, session, &session->follow);
	session->is_launching = false;

	uint64_t deadline_ns = ml_monotonic_ns() + START_UP_LIMIT_NS;

	while (!error && ml_monotonic_ns() < deadline_ns) {
		const struct ml_target *target = ml_targets_find(&session->targets, pid);

		if (!target || target->is_attached || target->has_ended)
			break;

		struct pollfd child = {.fd = session->signal_fd, .events = POLLIN};

		poll(&child, 1, START_UP_POLL_MS);
		ml_follow_dispatch(session->follow);
		ml_targets_reap(&session->targets);
	}
	return error;
}

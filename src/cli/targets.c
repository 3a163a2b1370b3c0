/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/targets.h"

#include "cli/note.h"
#include "target/emulator.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

struct ml_error *ml_targets_add(struct ml_targets *targets, struct ml_process *process)
{
	pid_t pid = ml_process_pid(process);
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = targets->epoll_tag};

	/* Without pidfds (before Linux 5.3) ends are looked for from time to time. */
	if (ml_process_pidfd(process) >= 0 &&
	    epoll_ctl(targets->epoll_fd, EPOLL_CTL_ADD, ml_process_pidfd(process), &event) < 0) {
		int err = errno;

		ml_process_close(process);
		return ml_error_errno(err, "cannot watch process %d", (int)pid);
	}
	struct ml_target *target = ml_array_push(&targets->list);

	*target = (struct ml_target){.process = process, .pid = pid};
	ml_vitals_read(pid, &target->first);
	target->last = target->first;
	return NULL;
}

typedef struct ml_error *(*opener)(const struct ml_process *process, const char *path, int *fd);

/* Opens @p path in the root of the first target that has it. */
static struct ml_error *open_in_first(const struct ml_targets *targets, opener open,
				      const char *path, int *fd)
{
	struct ml_error *error = NULL;

	ml_array_each (it, &targets->list) {
		if (!it->process)
			continue;
		ml_error_free(error);
		error = open(it->process, path, fd);
		if (!error)
			return NULL;
	}
	return error ? error : ml_error_new(ML_ERROR_TARGET, "no target is left to have %s", path);
}

struct ml_error *ml_targets_open_file(const struct ml_targets *targets, const char *path, int *fd)
{
	return open_in_first(targets, ml_process_open_file, path, fd);
}

struct ml_error *ml_targets_open_source(const struct ml_targets *targets, const char *path, int *fd)
{
	return open_in_first(targets, ml_process_open_readable, path, fd);
}

struct ml_target *ml_targets_find(const struct ml_targets *targets, pid_t pid)
{
	ml_array_each (it, &targets->list) {
		if (it->pid == pid && !it->has_ended)
			return it;
	}
	return NULL;
}

/* @error (taken over): why attaching has failed, or NULL. */
static void take_problem(struct ml_target *target, struct ml_error *error)
{
	ml_error_free(target->problem);
	target->problem = error;
}

/* Whose allocations are seen, where that is not the program's. */
static void note_emulator(const struct ml_target *target)
{
	const char *exe = ml_process_exe(target->process);

	if (ml_emulation_of(exe) == ML_EMULATION_FOREIGN)
		ml_note("process %d is %s, which runs a program of another machine: its own "
			"allocations are shown, not those of the program",
			(int)target->pid, exe);
}

static bool is_unseen(const struct ml_target *target)
{
	/* In a start-up there may be no allocator yet. */
	bool is_decided = target->has_ended || target->is_noted;

	return target->is_late || (!target->is_attached && target->problem && is_decided);
}

uint64_t ml_targets_unseen(const struct ml_targets *targets)
{
	uint64_t unseen = targets->missed;

	ml_array_each (it, &targets->list)
		unseen += is_unseen(it);
	return unseen;
}

bool ml_targets_attach(struct ml_targets *targets, struct ml_target *target)
{
	const struct ml_tracer_ops *ops = targets->tracer->ops;
	struct ml_error *error;

	if (target->is_attached)
		error = ops->refresh_process(targets->tracer, target->pid);
	else
		error = ops->add_process(targets->tracer, target->process);
	if (!target->is_attached && !error)
		note_emulator(target);
	target->is_attached = target->is_attached || !error;
	take_problem(target, error);
	return target->is_attached;
}

void ml_targets_reimage(struct ml_targets *targets, struct ml_target *target)
{
	ml_vitals_read(target->pid, &target->last);
	target->is_noted = false;
	take_problem(target, targets->tracer->ops->renew_process(targets->tracer, target->process));
	target->is_attached = !target->problem;
	if (target->is_attached)
		note_emulator(target);
}

void ml_target_note_exec(const struct ml_target *target)
{
	ml_note("process %d runs another program now: %s", (int)target->pid,
		ml_process_exe(target->process));
}

/* An exec nobody told us of. The tracer may have noticed it by itself and traces the new image
 * already (then adding the same process again only looks at its maps): nothing is removed here. */
static void notice_exec(struct ml_targets *targets, struct ml_target *target)
{
	ml_error_free(ml_process_refresh(target->process));
	target->is_attached = false;
	target->is_noted = false;
	target->is_late = target->is_late || !ml_tracer_outlives_exec(targets->tracer);
	ml_targets_attach(targets, target);
	ml_target_note_exec(target);
}

/* What is followed tells of its execs by itself, and of each step of a start-up. */
static bool tells(const struct ml_target *target, const struct ml_follow *follow)
{
	return follow && !target->missed_exec && ml_follow_has(follow, target->pid);
}

static void look_at(struct ml_targets *targets, struct ml_target *target,
		    const struct ml_follow *follow)
{
	bool is_told = tells(target, follow);
	struct ml_vitals now;

	if (!ml_vitals_read(target->pid, &now))
		return;
	if (ml_vitals_is_other_image(&target->last, &now)) {
		if (is_told)
			return;
		notice_exec(targets, target);
	} else if (!target->is_attached &&
		   !(is_told && ml_follow_is_starting(follow, target->pid))) {
		ml_targets_attach(targets, target);
	}
	target->missed_exec = false;
	target->last = now;
}

void ml_targets_look(struct ml_targets *targets, const struct ml_follow *follow)
{
	ml_array_each (it, &targets->list) {
		if (!it->has_ended)
			look_at(targets, it, follow);
	}
}

void ml_targets_check_exec(const struct ml_targets *targets, pid_t pid)
{
	struct ml_target *target = ml_targets_find(targets, pid);
	struct ml_vitals now;

	if (target && ml_vitals_read(pid, &now) && ml_vitals_is_other_image(&target->last, &now))
		target->missed_exec = true;
}

void ml_targets_note_problems(struct ml_targets *targets, const struct ml_follow *follow)
{
	ml_array_each (it, &targets->list) {
		if (it->has_ended || it->is_noted || !it->problem ||
		    (follow && ml_follow_is_starting(follow, it->pid)))
			continue;
		ml_note("process %d (%s) is %s: %s", (int)it->pid, ml_process_comm(it->process),
			it->is_attached ? "traced in part" : "not traced",
			ml_error_message(it->problem));
		it->is_noted = true;
	}
}

static bool has_ended(const struct ml_target *target)
{
	return !ml_process_is_alive(target->process);
}

static void book_end(struct ml_targets *targets, struct ml_target *target)
{
	target->has_ended = true;
	ml_vitals_read(target->pid, &target->last);
	if (ml_process_pidfd(target->process) >= 0)
		epoll_ctl(targets->epoll_fd, EPOLL_CTL_DEL, ml_process_pidfd(target->process),
			  NULL);
	targets->tracer->ops->remove_process(targets->tracer, target->pid, true);
	if (target == targets->list.items)
		return;
	target->comm = ml_strdup(ml_process_comm(target->process));
	target->inner_pid = ml_process_inner_pid(target->process);
	ml_process_close(target->process);
	target->process = NULL;
}

void ml_targets_reap(struct ml_targets *targets)
{
	ml_array_each (it, &targets->list) {
		if (!it->has_ended && has_ended(it))
			book_end(targets, it);
	}
}

size_t ml_targets_alive(const struct ml_targets *targets)
{
	size_t alive = 0;

	ml_array_each (it, &targets->list)
		alive += !it->has_ended;
	return alive;
}

double ml_targets_cpu_s(struct ml_targets *targets)
{
	double total_s = 0;

	ml_array_each (it, &targets->list) {
		if (!it->has_ended)
			ml_vitals_read(it->pid, &it->last);
		total_s += it->last.cpu_s - it->first.cpu_s;
	}
	return total_s;
}

uint64_t ml_targets_resident_bytes(const struct ml_targets *targets)
{
	uint64_t bytes = 0;

	ml_array_each (it, &targets->list)
		bytes += it->has_ended ? 0 : it->last.resident_bytes;
	return bytes;
}

/* The newest of that pid. */
static const struct ml_target *newest(const struct ml_targets *targets, pid_t pid)
{
	for (size_t i = targets->list.count; i-- > 0;) {
		if (targets->list.items[i].pid == pid)
			return &targets->list.items[i];
	}
	return NULL;
}

bool ml_targets_had(const struct ml_targets *targets, pid_t pid)
{
	return newest(targets, pid);
}

const char *ml_targets_comm(void *targets, pid_t pid)
{
	const struct ml_target *target = newest(targets, pid);

	if (!target)
		return "?";
	return target->process ? ml_process_comm(target->process) : target->comm;
}

pid_t ml_targets_inner_pid(void *targets, pid_t pid)
{
	const struct ml_target *target = newest(targets, pid);

	if (!target)
		return pid;
	return target->process ? ml_process_inner_pid(target->process) : target->inner_pid;
}

void ml_targets_deinit(struct ml_targets *targets)
{
	ml_array_each (it, &targets->list) {
		ml_process_close(it->process);
		free(it->comm);
		ml_error_free(it->problem);
	}
	ml_array_free(&targets->list);
}

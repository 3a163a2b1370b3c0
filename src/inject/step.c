/* SPDX-License-Identifier: BSD-2-Clause */
/** Steps of an injection: who makes them, and system calls in the target's name. */
#include "inject/injection_private.h"
#include "target/follow.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* What comes back from the other process. */
struct outcome {
	bool is_done;
	bool has_error;
	enum ml_error_kind kind;
	char message[1024];
};

/* While the target is stopped nobody else should be served first; where that is not permitted, and
 * it then takes a little longer on a busy machine, so be it. */
static void hurry(void)
{
	const struct sched_param first = {.sched_priority = 1};

	prctl(PR_SET_TIMERSLACK, 1);
	if (sched_setscheduler(0, SCHED_FIFO, &first))
		setpriority(PRIO_PROCESS, 0, -20);
}

/* Not to be ended half-way by what ends the tool: Ctrl+C, a group's SIGKILL, a closed terminal. */
static void work_apart(struct ml_error *(*work)(void *context), void *context,
		       struct outcome *outcome)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	setsid();
	hurry();

	struct ml_error *error = work(context);

	if (error) {
		outcome->kind = ml_error_kind(error);
		snprintf(outcome->message, sizeof(outcome->message), "%s", ml_error_message(error));
	}
	outcome->has_error = error != NULL;
	outcome->is_done = true;
	_exit(0);
}

struct ml_error *ml_step_run(const struct ml_process *process,
			     struct ml_error *(*work)(void *context), void *context)
{
	struct ml_error *error = NULL;

	if (ml_process_is_held(process))
		return work(context);

	struct outcome *outcome = mmap(NULL, sizeof(*outcome), PROT_READ | PROT_WRITE,
				       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (outcome == MAP_FAILED)
		return ml_error_errno(errno, "cannot share memory with the attaching process");

	pid_t child = fork();

	if (!child)
		work_apart(work, context, outcome);
	if (child < 0)
		error = ml_error_errno(errno, "cannot start the attaching process");
	while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
	if (!error && !outcome->is_done)
		error = ml_error_new(ML_ERROR_SYSTEM, "the attaching process was killed");
	if (!error && outcome->has_error)
		error = ml_error_new(outcome->kind, "%s", outcome->message);
	munmap(outcome, sizeof(*outcome));
	return error;
}

static struct ml_error *find_place(const struct ml_process *process, struct ml_step *step)
{
	*step = (struct ml_step){.process = process, .pid = ml_process_pid(process)};
	return ml_call_place_find(process, &step->place);
}

struct ml_error *ml_step_prepare(const struct ml_process *process, struct ml_step *step)
{
	struct ml_error *error = find_place(process, step);

	return error ? error : ml_filter_look(process, &step->filter, &step->denied);
}

struct ml_error *ml_step_prepare_end(const struct ml_process *process, struct ml_step *step)
{
	struct ml_error *error = find_place(process, step);

	if (!error)
		ml_error_free(ml_filter_look(process, &step->filter, &step->denied));
	return error;
}

/* ---- with the process stopped -----------------------------------------------------------------
 */

/* Hides what we make a filtered thread call from its filter (Linux 4.3, root). Held ones whose
 * filter is not our own are followed ones. */
static bool suspend_filters(struct ml_step *step)
{
	long others = step->stop.is_held ? ML_FOLLOW_OPTIONS : PTRACE_O_TRACESYSGOOD;
	pid_t tid = step->stop.threads.items[0].tid;

	if (ptrace(PTRACE_SETOPTIONS, tid, NULL, others | PTRACE_O_SUSPEND_SECCOMP))
		return false;
	step->is_suspended = step->stop.is_held;
	return true;
}

/* Where filters cannot be suspended, a thread without one is to make the calls. */
static bool find_caller(struct ml_step *step)
{
	struct ml_stopped *threads = step->stop.threads.items;

	if (step->filter != ML_FILTER_UNKNOWN || suspend_filters(step))
		return true;
	for (size_t i = 0; i < step->stop.threads.count; i++) {
		struct ml_stopped first = threads[0];

		if (ml_filter_is_on(step->pid, threads[i].tid))
			continue;
		threads[0] = threads[i];
		threads[i] = first;
		return true;
	}
	return false;
}

struct ml_error *ml_step_seize(struct ml_step *step, pid_t only, struct ml_maps *maps)
{
	struct ml_error *error = ml_process_is_held(step->process)
					 ? ml_stop_begin_held(step->pid, &step->stop)
					 : ml_stop_seize(step->pid, only, &step->stop);

	step->stop.is_filtered = step->filter != ML_FILTER_NONE;
	/* Once a thread is seized the number cannot become that of another process. */
	if (!error && !ml_process_is_alive(step->process))
		error = ml_error_new(ML_ERROR_TARGET, "process %d is gone", step->pid);
	if (!error && maps)
		error = ml_process_maps(step->process, maps);
	step->maps = maps;
	return error;
}

void ml_step_leave(struct ml_step *step, struct ml_maps *maps)
{
	ml_stop_forget(&step->stop);
	if (step->is_suspended)
		ptrace(PTRACE_SETOPTIONS, step->pid, NULL, (long)ML_FOLLOW_OPTIONS);
	step->is_suspended = false;
	if (maps)
		ml_maps_deinit(maps);
	step->maps = NULL;
}

struct ml_error *ml_step_stop(struct ml_step *step)
{
	struct ml_error *error = step->stop.is_held ? NULL : ml_stop_begin(&step->stop);

	if (!error)
		step->may_call = find_caller(step);
	return error;
}

uint32_t ml_step_denied(const struct ml_step *step)
{
	if (step->filter == ML_FILTER_UNKNOWN)
		return ml_filter_denied(&step->stop, ml_process_inner_pid(step->process));
	return step->denied;
}

struct ml_error *ml_step_call(struct ml_step *step, const char *what, long number,
			      const uint64_t arguments[6], int64_t *result)
{
	struct ml_error *error;

	if (!step->may_call)
		return ml_error_new(
			ML_ERROR_UNSUPPORTED,
			"process %d has a seccomp filter that might kill it for %s, and "
			"only root outside of any sandbox may look into that; run memleak "
			"so, or use --backend bpf",
			step->pid, what);
	error = ml_stop_syscall(&step->stop, &step->place, number, arguments, result);
	if (!error && *result < 0 && *result > -4096)
		error = ml_error_errno((int)-*result, "%s in process %d", what, step->pid);
	return error;
}

struct ml_error *ml_step_mmap(struct ml_step *step, uint64_t hint, size_t size, int protection,
			      int flags, int fd, uint64_t *out)
{
	const uint64_t arguments[6] = {
		hint, size, (uint64_t)protection, (uint64_t)flags, (uint64_t)(int64_t)fd, 0};
	int64_t result = 0;
	struct ml_error *error = ml_step_call(step, "mapping memory", SYS_mmap, arguments, &result);

	if (!error)
		*out = (uint64_t)result;
	return error;
}

void ml_step_close(struct ml_step *step, int64_t remote)
{
	const uint64_t arguments[6] = {(uint64_t)remote};
	int64_t result;

	ml_error_free(ml_step_call(step, "close", SYS_close, arguments, &result));
}

void ml_step_munmap(struct ml_step *step, uint64_t start, uint64_t size)
{
	const uint64_t arguments[6] = {start, size};
	int64_t result;

	if (start)
		ml_error_free(ml_step_call(step, "munmap", SYS_munmap, arguments, &result));
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "inject/stop.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/strbuf.h"
#include "inject/filter.h"
#include "target/proc.h"
#include "target/ptrace_stop.h"
#include "target/yama.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A thread that does not stop in this time waits where it cannot be interrupted (vfork, a dead
 * disk); the others must not wait for it. */
#define STOP_LIMIT_NS (100 * ML_NS_PER_MS)
#define STOP_ATTEMPTS 20
/* Of 10 ms, for a memleak that holds the process. */
#define STEP_WAITS     300
#define ATTEMPT_GAP_US 5000
/* Of 1 ms, for a thread that is to be let go and has not stopped. */
#define LET_GO_WAITS 50
/* How often it is looked for new threads before they are stopped. */
#define SEIZE_ROUNDS 3

enum wait_result { WAIT_STOPPED, WAIT_GONE, WAIT_LATE };

/*
 * Waits until @tid, told to, has stopped. A signal that comes first is passed on. One that job
 * control has stopped stands there as well; made to run calls it does, and when it is let go of the
 * kernel stops it again, and tells nobody (__ptrace_unlink() in kernel/ptrace.c, since Linux 3.0).
 */
static enum wait_result wait_stopped(pid_t tid, uint64_t deadline_ns)
{
	int status;

	for (;;) {
		pid_t got = waitpid(tid, &status, __WALL | WNOHANG);

		if (got < 0 || (got == tid && !WIFSTOPPED(status)))
			return WAIT_GONE;
		if (!got) {
			if (ml_monotonic_ns() > deadline_ns)
				return WAIT_LATE;
			usleep(20);
			continue;
		}
		switch (ml_ptrace_stop_kind(status)) {
		case ML_PTRACE_TRAP:
		case ML_PTRACE_GROUP:
			return WAIT_STOPPED;
		case ML_PTRACE_SIGNAL:
			ptrace(PTRACE_CONT, tid, NULL, (void *)(long)WSTOPSIG(status));
			break;
		default:
			ptrace(PTRACE_CONT, tid, NULL, NULL);
			break;
		}
	}
}

static bool is_listed(const struct ml_stop *stop, pid_t tid)
{
	ml_array_each (thread, &stop->threads)
		if (thread->tid == tid)
			return true;
	return false;
}

/* Owned by the caller; NULL when the process is gone. */
static char *name_of(pid_t pid)
{
	char *name = NULL;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	ml_error_free(ml_file_read(AT_FDCWD, path, 64, &name, NULL));
	if (name)
		name[strcspn(name, "\n")] = '\0';
	return name;
}

/* Not by the one we are a step of: that waits for us. */
static bool is_traced_by_other_memleak(pid_t pid)
{
	pid_t tracer = ml_proc_tracer(pid);
	ML_FREE_CLEANUP char *name = tracer ? name_of(tracer) : NULL;
	ML_FREE_CLEANUP char *own = name ? name_of(getpid()) : NULL;

	return own && tracer != getpid() && tracer != getppid() && !strcmp(name, own);
}

/* What a killed memleak had begun ends a moment after it: see ml_step_run(). */
static void await_step_of_killed(pid_t pid)
{
	for (int i = 0; i < STEP_WAITS && is_traced_by_other_memleak(pid); i++)
		usleep(10000);
}

static struct ml_error *already_traced(const struct ml_stop *stop, pid_t tracer)
{
	ML_STRBUF_CLEANUP struct ml_strbuf label = {0};
	ML_FREE_CLEANUP char *name = name_of(tracer);

	ml_strbuf_escaped(&label, name ? name : "a debugger?");
	return ml_error_new(ML_ERROR_TARGET,
			    "process %d is already traced by process %d (%s); the agent needs that "
			    "place: end it, or use --backend bpf",
			    stop->pid, tracer, ml_strbuf_text(&label));
}

static struct ml_error *seize(struct ml_stop *stop, pid_t tid)
{
	/* Without the option the kernel sends SIGTRAP to a thread on its way into a stop at a
	 * system call whose tracer dies just then (ptrace_report_syscall()). */
	if (ptrace(PTRACE_SEIZE, tid, NULL, (long)PTRACE_O_TRACESYSGOOD)) {
		int err = errno;
		pid_t tracer = ml_proc_tracer(tid);

		if (err == ESRCH || (err == EPERM && !tracer && ml_proc_has_ended(tid)))
			return NULL;
		if (tracer && tracer != getpid())
			return already_traced(stop, tracer);
		if (!tracer && err == EPERM)
			return ml_error_new(ML_ERROR_TARGET, "not permitted to stop process %d: %s",
					    stop->pid, ml_yama_advice());
		/* Ours still is one that did not stop before. */
		if (!tracer)
			return ml_error_errno(err, "cannot stop thread %d of process %d", tid,
					      stop->pid);
	}
	*ml_array_push(&stop->threads) = (struct ml_stopped){.tid = tid};
	return NULL;
}

/* Seizes the threads that are not yet; how many there were goes to @fresh. */
static struct ml_error *seize_new(struct ml_stop *stop, size_t *fresh)
{
	size_t before = stop->threads.count;
	struct ml_error *error = NULL;
	ml_proc_tids tids = {0};

	if (!ml_proc_threads(stop->pid, &tids))
		return ml_error_new(ML_ERROR_TARGET, "process %d is gone", stop->pid);
	for (size_t i = 0; !error && i < tids.count; i++)
		if (!is_listed(stop, tids.items[i]))
			error = seize(stop, tids.items[i]);
	ml_array_free(&tids);
	*fresh = stop->threads.count - before;
	return error;
}

/* A thread whose filter does not know restart_syscall(2) sleeps once more from the beginning. */
static void spare_restart(const struct ml_stop *stop, pid_t tid)
{
	struct user_regs_struct registers;

	if (stop->is_filtered && ml_registers_get(tid, &registers) &&
	    ml_registers_call_anew(&registers) && !ml_filter_passes(tid, SYS_restart_syscall))
		ml_registers_set(tid, &registers);
}

/* Waits for the threads from @first on; those that are gone leave the list. */
static void await(struct ml_stop *stop, size_t first, bool *late)
{
	uint64_t deadline_ns = ml_monotonic_ns() + STOP_LIMIT_NS;

	for (size_t i = first; i < stop->threads.count;) {
		switch (wait_stopped(stop->threads.items[i].tid, deadline_ns)) {
		case WAIT_GONE:
			stop->threads.items[i] = stop->threads.items[--stop->threads.count];
			continue;
		case WAIT_LATE:
			*late = true;
			break;
		case WAIT_STOPPED:
			spare_restart(stop, stop->threads.items[i].tid);
			break;
		}
		i++;
	}
}

static struct ml_error *seize_all(struct ml_stop *stop)
{
	struct ml_error *error = NULL;
	size_t fresh = 1;

	if (stop->only_main)
		return seize(stop, stop->pid);
	for (int i = 0; !error && fresh && i < SEIZE_ROUNDS; i++)
		error = seize_new(stop, &fresh);
	return error;
}

/* The kernel counts the threads in the links of their folder (proc_task_getattr()), which is
 * quicker told than their names. */
static bool may_have_new(const struct ml_stop *stop)
{
	char path[32];
	struct stat folder;

	snprintf(path, sizeof(path), "/proc/%d/task", stop->pid);
	return stat(path, &folder) || folder.st_nlink != stop->threads.count + 2;
}

/* All are told before any is waited for. */
static struct ml_error *stop_threads(struct ml_stop *stop, bool *late)
{
	struct ml_error *error = NULL;
	size_t first = 0, fresh;

	*late = false;
	do {
		for (size_t i = first; i < stop->threads.count; i++)
			ptrace(PTRACE_INTERRUPT, stop->threads.items[i].tid, NULL, NULL);
		await(stop, first, late);
		first = stop->threads.count;
		fresh = 0;
		if (!error && !*late && !stop->only_main && may_have_new(stop))
			error = seize_new(stop, &fresh);
	} while (!error && !*late && fresh);
	return error;
}

/* What came while it ran calls of ours comes again, from @first on. */
static void send_signals(const struct ml_stop *stop, const struct ml_stopped *thread,
			 uint32_t first)
{
	for (uint32_t i = first; i < thread->signal_count; i++)
		syscall(SYS_tgkill, stop->pid, thread->tid, thread->signals[i]);
}

static void let_thread_go(const struct ml_stop *stop, const struct ml_stopped *thread)
{
	long number = thread->signal_count ? thread->signals[0] : 0;

	send_signals(stop, thread, 1);
	/* One that has not stopped cannot be detached before it does. In a paused container that
	 * may be never: the end of this process, which works for one step only, lets go of it, too.
	 */
	for (int i = 0; i < LET_GO_WAITS; i++) {
		if (!ptrace(PTRACE_DETACH, thread->tid, NULL, (void *)number) || errno != ESRCH ||
		    wait_stopped(thread->tid, 0) == WAIT_GONE || kill(thread->tid, 0))
			return;
		usleep(1000);
	}
}

static void let_go(struct ml_stop *stop)
{
	ml_array_each (thread, &stop->threads)
		let_thread_go(stop, thread);
	ml_array_free(&stop->threads);
}

bool ml_stop_let_go(struct ml_stop *stop, size_t i)
{
	if (stop->is_held)
		return false;
	let_thread_go(stop, &stop->threads.items[i]);
	stop->threads.items[i] = stop->threads.items[--stop->threads.count];
	return true;
}

static struct ml_error *open_memory(struct ml_stop *stop)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/mem", stop->pid);
	stop->memory_fd = open(path, O_RDWR | O_CLOEXEC);
	if (stop->memory_fd >= 0)
		return NULL;
	return errno == ENOENT || errno == ESRCH
		       ? ml_error_new(ML_ERROR_TARGET, "process %d is gone", stop->pid)
		       : ml_error_errno(errno, "cannot open the memory of process %d", stop->pid);
}

/* At PTRACE_EVENT_EXEC execve() has still to write its result over rax: on to its end. */
static void leave_exec(pid_t pid)
{
	siginfo_t info;
	int status;

	if (!ptrace(PTRACE_GETSIGINFO, pid, NULL, &info) &&
	    info.si_code >> 8 == PTRACE_EVENT_EXEC && !ptrace(PTRACE_SYSCALL, pid, NULL, NULL))
		waitpid(pid, &status, __WALL);
}

struct ml_error *ml_stop_begin_held(pid_t pid, struct ml_stop *out)
{
	struct ml_stop stop = {
		.pid = pid, .memory_fd = -1, .is_held = true, .begin_ns = ml_monotonic_ns()};
	struct ml_error *error = open_memory(&stop);

	if (error)
		return error;
	leave_exec(pid);
	*ml_array_push(&stop.threads) = (struct ml_stopped){.tid = pid};
	*out = stop;
	return NULL;
}

struct ml_error *ml_stop_seize(pid_t pid, bool only_main, struct ml_stop *out)
{
	struct ml_error *error;

	*out = (struct ml_stop){.pid = pid, .memory_fd = -1, .only_main = only_main};
	await_step_of_killed(pid);
	error = seize_all(out);
	/* That of an earlier image would be the wrong one. */
	if (!error)
		error = open_memory(out);
	return error;
}

struct ml_error *ml_stop_begin(struct ml_stop *stop)
{
	struct ml_error *error = NULL;
	bool late = true;

	for (int i = 0; !error && late && i < STOP_ATTEMPTS; i++) {
		if (i) {
			usleep(ATTEMPT_GAP_US);
			error = seize_all(stop);
		}
		stop->begin_ns = ml_monotonic_ns();
		if (!error)
			error = stop_threads(stop, &late);
		if (error || late)
			let_go(stop);
	}
	if (!error && late)
		error = ml_error_new(
			ML_ERROR_TARGET,
			"a thread of process %d does not stop (it waits where it cannot "
			"be interrupted, or its container is paused)",
			stop->pid);
	if (!error && !stop->threads.count)
		error = ml_error_new(ML_ERROR_TARGET, "process %d is gone", stop->pid);
	return error;
}

static void keep_held(struct ml_stop *stop)
{
	send_signals(stop, &stop->threads.items[0], 0);
	ml_array_free(&stop->threads);
}

void ml_stop_count(const struct ml_stop *stop, struct ml_agent_header *header)
{
	uint64_t stopped_ns = ml_monotonic_ns() - stop->begin_ns;
	uint64_t stops = __atomic_load_n(&header->stops, __ATOMIC_RELAXED);

	if (stops < ML_AGENT_STOPS)
		header->stop_ns[stops] = stopped_ns;
	header->stops = stops + 1;
	if (stopped_ns > header->longest_stop_ns)
		header->longest_stop_ns = stopped_ns;
}

void ml_stop_end(struct ml_stop *stop)
{
	ml_stop_clear_call(stop);
	if (stop->is_held)
		keep_held(stop);
	else
		let_go(stop);
	ml_fd_close(&stop->memory_fd);
}

void ml_stop_forget(struct ml_stop *stop)
{
	ml_array_free(&stop->threads);
	ml_fd_close(&stop->memory_fd);
}

bool ml_stop_read(const struct ml_stop *stop, uint64_t address, void *buffer, size_t size)
{
	return pread(stop->memory_fd, buffer, size, (off_t)address) == (ssize_t)size;
}

bool ml_stop_write(const struct ml_stop *stop, uint64_t address, const void *buffer, size_t size)
{
	return pwrite(stop->memory_fd, buffer, size, (off_t)address) == (ssize_t)size;
}

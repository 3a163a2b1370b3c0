/* SPDX-License-Identifier: BSD-2-Clause */
#include "inject/stop.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/strbuf.h"
#include "inject/filter.h"
#include "inject/machine.h"
#include "inject/running.h"
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
/* And so long those that run do not wait for those that sleep to be stopped. */
#define SLEEPERS_LIMIT_NS 200000u
#define SLEEPER_NS        4000u
#define WAIT_GAP_US       20
/* Threads that are visited at the same time: each waits a little for the others, but they wait for
 * a processor together. */
#define VISITED_AT_ONCE 16
/* Of 10 ms, for a memleak that holds the process. */
#define STEP_WAITS     300
#define ATTEMPT_GAP_US 5000
/* Of 1 ms, for a thread that is to be let go and has not stopped. */
#define LET_GO_WAITS 50
/* How often it is looked for new threads before they are stopped. */
#define SEIZE_ROUNDS 3

enum wait_result { WAIT_STOPPED, WAIT_GONE, WAIT_LATE };

/*
 * Looks whether @tid, told to, has stopped. A signal that comes first is passed on. One that job
 * control has stopped stands there as well; made to run calls it does, and when it is let go of the
 * kernel stops it again, and tells nobody (__ptrace_unlink() in kernel/ptrace.c, since Linux 3.0).
 */
static enum wait_result look_at(pid_t tid)
{
	int status;

	for (;;) {
		pid_t got = waitpid(tid, &status, __WALL | WNOHANG);

		if (got < 0 || (got == tid && !WIFSTOPPED(status)))
			return WAIT_GONE;
		if (!got)
			return WAIT_LATE;
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

static bool is_thread_of(pid_t pid, pid_t tid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%d", pid, tid);
	return !access(path, F_OK);
}

/* For one that was listed a while ago: its number may be that of another process's thread by now.
 * Once it is seized it keeps it. */
static struct ml_error *seize_known(struct ml_stop *stop, pid_t tid)
{
	size_t before = stop->threads.count;
	struct ml_error *error = is_thread_of(stop->pid, tid) ? seize(stop, tid) : NULL;

	if (!error && stop->threads.count > before && !is_thread_of(stop->pid, tid))
		stop->threads.count = before;
	return error;
}

/* The threads that are not seized yet. */
static bool list_new(const struct ml_stop *stop, ml_proc_tids *out)
{
	size_t kept = 0;

	if (!ml_proc_threads(stop->pid, out))
		return false;
	ml_array_each (tid, out)
		if (!is_listed(stop, *tid))
			out->items[kept++] = *tid;
	out->count = kept;
	return true;
}

/* Seizes the threads that are not yet; how many there were goes to @fresh. Which ones run is looked
 * at, unless there is no time for it, before any of them is seized. */
static struct ml_error *seize_new(struct ml_stop *stop, bool looks, size_t *fresh)
{
	size_t before = stop->threads.count;
	struct ml_error *error = NULL;
	ml_proc_tids tids = {0};

	if (!list_new(stop, &tids))
		return ml_error_new(ML_ERROR_TARGET, "process %d is gone", stop->pid);

	ML_FREE_CLEANUP bool *runs = ml_alloc(tids.count + 1);

	for (size_t i = 0; looks && i < tids.count; i++)
		runs[i] = ml_running_is(stop->pid, tids.items[i]);
	for (size_t i = 0; !error && i < tids.count; i++) {
		size_t count = stop->threads.count;

		error = seize(stop, tids.items[i]);
		if (stop->threads.count > count)
			stop->threads.items[count].was_running = runs[i];
	}
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

static void interrupt(struct ml_stopped *thread)
{
	thread->begin_ns = ml_monotonic_ns();
	ptrace(PTRACE_INTERRUPT, thread->tid, NULL, NULL);
}

static void drop(struct ml_stop *stop, size_t i)
{
	stop->threads.items[i] = stop->threads.items[--stop->threads.count];
}

/* One that waits for a processor is not stopped by us. */
static enum wait_result look_again(struct ml_stopped *thread)
{
	uint64_t now_ns = ml_monotonic_ns();
	enum wait_result result = look_at(thread->tid);

	if (result == WAIT_LATE)
		thread->begin_ns = now_ns;
	return result;
}

static void note_stopped(const struct ml_stop *stop, struct ml_stopped *thread)
{
	thread->is_stopped = true;
	thread->ip = ml_registers_read_ip(thread->tid);
	spare_restart(stop, thread->tid);
}

/* Looks once at each thread from @first on that was told to stop and is not known to be; whether
 * one was found to be, or gone. Where it stands is read while others still come to their stop. */
static bool look_at_all(struct ml_stop *stop, size_t first, size_t *pending)
{
	bool is_news = false;

	*pending = 0;
	for (size_t i = first; i < stop->threads.count;) {
		struct ml_stopped *thread = &stop->threads.items[i];
		bool is_told = thread->begin_ns && !thread->is_stopped;
		enum wait_result result = is_told ? look_again(thread) : WAIT_STOPPED;

		is_news |= is_told && result != WAIT_LATE;
		if (is_told && result == WAIT_STOPPED)
			note_stopped(stop, thread);
		*pending += result == WAIT_LATE;
		if (result == WAIT_GONE)
			drop(stop, i);
		else
			i++;
	}
	return is_news;
}

/* Waits for the threads from @first on that were told; those that are gone leave the list. False
 * when some are late. */
static bool await(struct ml_stop *stop, size_t first, uint64_t limit_ns)
{
	uint64_t deadline_ns = ml_monotonic_ns() + limit_ns;
	size_t pending;

	for (;;) {
		bool is_news = look_at_all(stop, first, &pending);

		if (!pending || ml_monotonic_ns() > deadline_ns)
			return !pending;
		if (!is_news)
			usleep(WAIT_GAP_US);
	}
}

static struct ml_error *seize_all(struct ml_stop *stop)
{
	struct ml_error *error = NULL;
	size_t fresh = 1;

	if (stop->only)
		return seize_known(stop, stop->only);
	for (int i = 0; !error && fresh && i < SEIZE_ROUNDS; i++)
		error = seize_new(stop, true, &fresh);
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

static void interrupt_from(struct ml_stop *stop, size_t first, bool was_running)
{
	for (size_t i = first; i < stop->threads.count; i++)
		if (stop->threads.items[i].was_running == was_running)
			interrupt(&stop->threads.items[i]);
}

/* Those that sleep are stopped first, since they miss nothing, and for a while the others run on.
 */
static struct ml_error *stop_threads(struct ml_stop *stop, bool *late)
{
	struct ml_error *error = NULL;
	size_t first = 0, fresh;

	do {
		interrupt_from(stop, first, false);
		await(stop, first, SLEEPERS_LIMIT_NS + stop->threads.count * SLEEPER_NS);
		interrupt_from(stop, first, true);
		*late = !await(stop, first, STOP_LIMIT_NS);
		first = stop->threads.count;
		fresh = 0;
		if (!error && !*late && !stop->only && may_have_new(stop))
			error = seize_new(stop, false, &fresh);
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

static void note_length(struct ml_stop *stop, const struct ml_stopped *thread)
{
	uint64_t stopped_ns = ml_monotonic_ns() - thread->begin_ns;

	if (thread->begin_ns && stopped_ns > stop->longest_ns)
		stop->longest_ns = stopped_ns;
}

static void detach(const struct ml_stop *stop, const struct ml_stopped *thread)
{
	long number = thread->signal_count ? thread->signals[0] : 0;

	send_signals(stop, thread, 1);
	/* One that has not stopped cannot be detached before it does. In a paused container that
	 * may be never: the end of this process, which works for one step only, lets go of it, too.
	 */
	for (int i = 0; i < LET_GO_WAITS; i++) {
		if (!ptrace(PTRACE_DETACH, thread->tid, NULL, (void *)number) || errno != ESRCH ||
		    look_at(thread->tid) == WAIT_GONE || kill(thread->tid, 0))
			return;
		usleep(1000);
	}
}

static void let_thread_go(struct ml_stop *stop, const struct ml_stopped *thread)
{
	detach(stop, thread);
	note_length(stop, thread);
}

static void let_these_go(struct ml_stop *stop, bool was_running)
{
	ml_array_each (thread, &stop->threads)
		if (thread->was_running == was_running)
			let_thread_go(stop, thread);
}

static void let_go(struct ml_stop *stop)
{
	let_these_go(stop, true);
	let_these_go(stop, false);
	ml_array_free(&stop->threads);
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
	struct ml_stop stop = {.pid = pid, .memory_fd = -1, .is_held = true};
	struct ml_error *error = open_memory(&stop);

	if (error)
		return error;
	leave_exec(pid);
	*ml_array_push(&stop.threads) = (struct ml_stopped){
		.tid = pid,
		.is_stopped = true,
		.ip = ml_registers_read_ip(pid),
		.begin_ns = ml_monotonic_ns(),
	};
	*out = stop;
	return NULL;
}

struct ml_error *ml_stop_seize(pid_t pid, pid_t only, struct ml_stop *out)
{
	struct ml_error *error;

	*out = (struct ml_stop){.pid = pid, .memory_fd = -1, .only = only};
	await_step_of_killed(pid);
	error = seize_all(out);
	/* That of an earlier image would be the wrong one. */
	if (!error)
		error = open_memory(out);
	return error;
}

/* If it is there: it is the one whose tid is known to the process itself. */
static void put_main_first(struct ml_stop *stop)
{
	ml_array_each (thread, &stop->threads) {
		struct ml_stopped first = stop->threads.items[0];

		if (thread->tid != stop->pid)
			continue;
		stop->threads.items[0] = *thread;
		*thread = first;
	}
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
	put_main_first(stop);
	return error;
}

/* ---- threads one by one ----------------------------------------------------------------------
 */

/* Lets each go on as soon as it has been looked at; those to be looked at again go to @again. */
static void look_and_let_go(struct ml_stop *stop, ml_stop_look *look, void *context,
			    ml_proc_tids *again)
{
	uint64_t deadline_ns = ml_monotonic_ns() + STOP_LIMIT_NS;
	size_t pending;

	ml_array_each (thread, &stop->threads)
		interrupt(thread);
	while (stop->threads.count) {
		bool is_news = look_at_all(stop, 0, &pending);
		bool is_late = ml_monotonic_ns() > deadline_ns;

		for (size_t i = 0; i < stop->threads.count;) {
			const struct ml_stopped *thread = &stop->threads.items[i];

			if (!thread->is_stopped && !is_late) {
				i++;
				continue;
			}
			if (!thread->is_stopped || !look(context, stop, thread))
				*ml_array_push(again) = thread->tid;
			if (thread->is_stopped)
				let_thread_go(stop, thread);
			drop(stop, i);
		}
		if (stop->threads.count && !is_news)
			usleep(WAIT_GAP_US);
	}
}

struct ml_error *ml_stop_visit(struct ml_stop *stop, ml_proc_tids *tids, ml_stop_look *look,
			       void *context)
{
	ml_proc_tids again = {0};
	struct ml_error *error = NULL;

	for (size_t i = 0; i < tids->count;) {
		for (; !error && i < tids->count && stop->threads.count < VISITED_AT_ONCE; i++)
			error = seize_known(stop, tids->items[i]);
		if (!error && stop->threads.count)
			error = open_memory(stop);
		if (error)
			break;
		look_and_let_go(stop, look, context, &again);
		ml_fd_close(&stop->memory_fd);
	}
	ml_stop_forget(stop);
	ml_array_free(tids);
	*tids = again;
	return error;
}

static void keep_held(struct ml_stop *stop)
{
	note_length(stop, &stop->threads.items[0]);
	send_signals(stop, &stop->threads.items[0], 0);
	ml_array_free(&stop->threads);
}

void ml_stop_count(const struct ml_stop *stop, struct ml_agent_header *header)
{
	uint64_t stopped_ns = stop->longest_ns;
	uint64_t stops = __atomic_load_n(&header->stops, __ATOMIC_RELAXED);

	/* That of the tables' making is in them before it ends. */
	if (stop->threads.count)
		stopped_ns = ml_monotonic_ns() - stop->threads.items[0].begin_ns;
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

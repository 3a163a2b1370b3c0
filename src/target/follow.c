/* SPDX-License-Identifier: BSD-2-Clause */
#include "target/follow.h"

#include "base/array.h"
#include "base/clock.h"
#include "base/u64map.h"
#include "target/launch_private.h"
#include "target/proc.h"
#include "target/ptrace_stop.h"
#include "target/startup.h"
#include "target/yama.h"

#include <errno.h>
#include <linux/kcmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Stops handled in one go before the tool's other work gets its turn. */
#define DISPATCH_MAX 1000

/* How long ml_follow_stop() waits for threads to stop, and how often it looks. */
#define STOP_WAIT_NS (1 * ML_NS_PER_SECOND)
#define STOP_POLL_NS 200000

/* One thread we trace. */
struct tracee {
	pid_t tid;
	pid_t tgid;
	pid_t parent; /* the thread that waits, held, until forked() was called for this process; 0
		       */
	bool is_vfork;
	bool is_held;     /* stopped at a birth until the newborn is there */
	bool is_starting; /* between its exec and the end of its start-up */
	struct ml_startup startup;
};

struct ml_follow {
	const struct ml_follow_events *events;
	void *context;
	struct ml_u64map tracees; /* tid → struct tracee *, owned */
};

static struct tracee *find(const struct ml_follow *follow, pid_t tid)
{
	uint64_t *slot = ml_u64map_get(&follow->tracees, (uint64_t)tid);

	return slot ? (struct tracee *)(uintptr_t)*slot : NULL;
}

static struct tracee *add(struct ml_follow *follow, pid_t tid, pid_t tgid)
{
	struct tracee *tracee = ml_alloc(sizeof(*tracee));

	*tracee = (struct tracee){.tid = tid, .tgid = tgid};
	*ml_u64map_put(&follow->tracees, (uint64_t)tid, NULL) = (uintptr_t)tracee;
	return tracee;
}

static void drop(struct ml_follow *follow, struct tracee *tracee)
{
	ml_u64map_remove(&follow->tracees, (uint64_t)tracee->tid);
	free(tracee);
}

/* The threads of process @p tgid, of all when it is 0: a copy, for walks that change the table. */
static ml_proc_tids list_threads(const struct ml_follow *follow, pid_t tgid)
{
	ml_proc_tids tids = {0};
	uint64_t key, value;

	for (size_t cursor = 0; ml_u64map_next(&follow->tracees, &cursor, &key, &value);) {
		const struct tracee *tracee = (const struct tracee *)(uintptr_t)value;

		if (!tgid || tracee->tgid == tgid)
			*ml_array_push(&tids) = tracee->tid;
	}
	return tids;
}

static void resume(struct tracee *tracee, long signal)
{
	ptrace(tracee->is_starting ? PTRACE_SYSCALL : PTRACE_CONT, tracee->tid, NULL, signal);
}

/* Lets the thread go on that waits for @p tracee to be there, if any does. */
static void release_parent(struct ml_follow *follow, struct tracee *tracee)
{
	struct tracee *parent = tracee->parent ? find(follow, tracee->parent) : NULL;

	tracee->parent = 0;
	if (!parent || !parent->is_held)
		return;
	parent->is_held = false;
	resume(parent, 0);
}

/* @p tracee has ended, or (@p status -1) vanished in another thread's exec. */
static void handle_end(struct ml_follow *follow, struct tracee *tracee, int status)
{
	pid_t tgid = tracee->tgid;
	/* One that died before forked() told of it was never there for the caller. */
	bool is_known_process = tracee->tid == tgid && !tracee->parent;

	release_parent(follow, tracee);
	drop(follow, tracee);
	if (is_known_process)
		follow->events->exited(follow->context, tgid, status);
}

static bool is_thread_of(pid_t tid, pid_t tgid)
{
	char path[48];

	snprintf(path, sizeof(path), "/proc/%d/task/%d", tgid, tid);
	return !access(path, F_OK);
}

/* Whether a child shares its parent's memory: asked for, since clone() need not be a vfork(). */
static bool shares_memory(pid_t parent, pid_t child, int event)
{
	long order = syscall(SYS_kcmp, parent, child, KCMP_VM, 0L, 0L);

	return order < 0 ? event == PTRACE_EVENT_VFORK : order == 0;
}

/* The thread or process @p tracee has just made; 0 when it is gone already. */
static pid_t newborn_of(const struct tracee *tracee)
{
	unsigned long tid;

	return ptrace(PTRACE_GETEVENTMSG, tracee->tid, NULL, &tid) ? 0 : (pid_t)tid;
}

/*
 * The newborn is attached by the kernel and stops before its first instruction. It is waited for
 * only from here on, so that its stop always comes after this event whichever was first.
 */
static void handle_birth(struct ml_follow *follow, struct tracee *tracee, int event)
{
	pid_t tid = newborn_of(tracee);

	if (!tid || find(follow, tid)) {
		resume(tracee, 0);
		return;
	}
	if (event == PTRACE_EVENT_CLONE && is_thread_of(tid, tracee->tgid)) {
		add(follow, tid, tracee->tgid);
		resume(tracee, 0);
		return;
	}

	struct tracee *child = add(follow, tid, tid);

	child->parent = tracee->tid;
	child->is_vfork = shares_memory(tracee->tid, tid, event);
	/* What the child has inherited is then what its parent still has in forked(). */
	tracee->is_held = true;
}

/* The first stop of a new process; false when nobody wants it followed. */
static bool announce(struct ml_follow *follow, struct tracee *child)
{
	struct tracee *parent = find(follow, child->parent);
	bool is_wanted = !parent || follow->events->forked(follow->context, parent->tgid,
							   child->tgid, child->is_vfork);

	release_parent(follow, child);
	return is_wanted;
}

/* Detaches a stopped thread so that it goes on as if we had not been there. */
static void detach(struct ml_follow *follow, struct tracee *tracee, int status)
{
	enum ml_ptrace_stop kind = ml_ptrace_stop_kind(status);
	pid_t born = kind == ML_PTRACE_BIRTH ? newborn_of(tracee) : 0;
	long signal = kind == ML_PTRACE_SIGNAL ? WSTOPSIG(status) : 0;

	if (born && !find(follow, born))
		add(follow, born, born); /* attached by the kernel: to be let go too */
	/* One stopped by job control stays stopped: the kernel sees to it (ptrace_unlink()). */
	ptrace(PTRACE_DETACH, tracee->tid, NULL, signal);
	drop(follow, tracee);
}

/* All other threads are gone now; some of them without a word (ptrace(2), "execve under ptrace").
 */
static void handle_exec(struct ml_follow *follow, struct tracee *tracee)
{
	ml_proc_tids tids = list_threads(follow, tracee->tgid);

	ml_array_each (tid, &tids)
		if (*tid != tracee->tid)
			drop(follow, find(follow, *tid));
	ml_array_free(&tids);
	tracee->is_held = false;
	tracee->is_starting = ml_startup_begin(&tracee->startup, tracee->tid);
	follow->events->mapped(follow->context, tracee->tgid, true);
	ml_startup_continue(&tracee->startup);
	resume(tracee, 0);
}

static void handle_syscall(struct ml_follow *follow, struct tracee *tracee)
{
	if (tracee->is_starting) {
		enum ml_startup_step step = ml_startup_syscall(&tracee->startup);

		if (step == ML_STARTUP_MAPPED)
			follow->events->mapped(follow->context, tracee->tgid, false);
		tracee->is_starting = step != ML_STARTUP_OVER;
	}
	resume(tracee, 0);
}

static void handle_stop(struct ml_follow *follow, struct tracee *tracee, int status)
{
	if (tracee->parent && !announce(follow, tracee)) {
		detach(follow, tracee, status);
		return;
	}
	switch (ml_ptrace_stop_kind(status)) {
	case ML_PTRACE_BIRTH:
		handle_birth(follow, tracee, status >> 16);
		break;
	case ML_PTRACE_EXEC:
		handle_exec(follow, tracee);
		break;
	case ML_PTRACE_SYSCALL:
		handle_syscall(follow, tracee);
		break;
	case ML_PTRACE_GROUP:
		ptrace(PTRACE_LISTEN, tracee->tid, NULL, 0L);
		break;
	case ML_PTRACE_SIGNAL:
		resume(tracee, WSTOPSIG(status));
		break;
	case ML_PTRACE_TRAP:
	case ML_PTRACE_END:
	case ML_PTRACE_OTHER:
		resume(tracee, 0);
		break;
	}
}

/* Takes what waitpid() has of one thread; false when that is nothing. */
static bool reap(struct ml_follow *follow, struct tracee *tracee)
{
	int status;
	pid_t got = waitpid(tracee->tid, &status, WNOHANG | __WALL);

	if (got == 0)
		return false;
	if (got > 0 && WIFSTOPPED(status))
		handle_stop(follow, tracee, status);
	else if (got > 0 || errno == ECHILD)
		handle_end(follow, tracee, got > 0 ? status : -1);
	else
		return false;
	return true;
}

static unsigned int reap_all(struct ml_follow *follow)
{
	ml_proc_tids tids = list_threads(follow, 0);
	unsigned int handled = 0;

	ml_array_each (tid, &tids) {
		struct tracee *tracee = find(follow, *tid);

		handled += tracee && reap(follow, tracee);
	}
	ml_array_free(&tids);
	return handled;
}

/* The thread that has something to tell, NULL when it is none of ours, or none at all. */
static struct tracee *peek(const struct ml_follow *follow, bool *is_any)
{
	siginfo_t info = {0};
	int result = waitid(P_ALL, 0, &info, WEXITED | WSTOPPED | WNOHANG | WNOWAIT | __WALL);

	*is_any = result == 0 && info.si_pid;
	return *is_any ? find(follow, info.si_pid) : NULL;
}

void ml_follow_dispatch(struct ml_follow *follow)
{
	for (unsigned int handled = 0; handled < DISPATCH_MAX;) {
		bool is_any;
		struct tracee *tracee = peek(follow, &is_any);
		/*
		 * A child of the tool that ended is left to whoever started it, and is shown first
		 * each time, hiding ours: then ask each of ours.
		 */
		unsigned int more = !is_any ? 0 : tracee ? reap(follow, tracee) : reap_all(follow);

		if (!more)
			return;
		handled += more;
	}
	/* More to do, which no SIGCHLD may tell of any more: have ourselves called again. */
	kill(getpid(), SIGCHLD);
}

static struct ml_error *explain_seize(int err, pid_t pid)
{
	pid_t tracer = ml_proc_tracer(pid);

	if (err == ESRCH)
		return ml_error_new(ML_ERROR_TARGET, "no process with pid %d", pid);
	if (ml_proc_has_ended(pid))
		return ml_error_new(ML_ERROR_TARGET, "process %d has ended", pid);
	if (tracer)
		return ml_error_new(ML_ERROR_TARGET,
				    "process %d is traced by process %d already (a debugger or "
				    "strace): end that first",
				    pid, tracer);
	if (err == EPERM)
		return ml_error_new(ML_ERROR_TARGET, "not permitted to trace process %d: %s", pid,
				    ml_yama_advice());
	return ml_error_errno(err, "cannot trace process %d", pid);
}

/* Seizes thread @p tid if it is new; @p count goes up when it was. */
static struct ml_error *seize(struct ml_follow *follow, pid_t tid, pid_t tgid, unsigned int *count)
{
	if (find(follow, tid))
		return NULL;
	if (!ptrace(PTRACE_SEIZE, tid, NULL, (long)ML_FOLLOW_OPTIONS)) {
		add(follow, tid, tgid);
		++*count;
		return NULL;
	}

	int err = errno;

	/* Made by a thread seized before: the kernel has attached it, its event will tell. */
	if (err == EPERM && ml_proc_tracer(tid) == getpid())
		return NULL;
	/* A thread may end at any time, but a process that has none left is gone. */
	if (tid != tgid && (err == ESRCH || (err == EPERM && ml_proc_has_ended(tid))))
		return NULL;
	return explain_seize(err, tid);
}

static struct ml_error *seize_threads(struct ml_follow *follow, pid_t pid, unsigned int *count)
{
	ml_proc_tids tids = {0};
	struct ml_error *error = NULL;

	if (!ml_proc_threads(pid, &tids))
		return errno == ENOENT ? explain_seize(ESRCH, pid)
				       : ml_error_errno(errno, "cannot open /proc/%d/task", pid);
	for (size_t i = 0; !error && i < tids.count; i++)
		error = seize(follow, tids.items[i], pid, count);
	ml_array_free(&tids);
	return error;
}

static bool has_ended(pid_t tid)
{
	siginfo_t info = {0};

	return !waitid(P_PID, (id_t)tid, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) &&
	       info.si_pid == tid && ml_ptrace_is_end(&info);
}

/* Whether @tid stands where something is to be told of it. */
static bool has_news(pid_t tid)
{
	siginfo_t info = {0};
	enum ml_ptrace_stop kind;

	if (waitid(P_PID, (id_t)tid, &info, WSTOPPED | WNOHANG | WNOWAIT | __WALL) ||
	    info.si_pid != tid)
		return false;
	kind = ml_ptrace_stop_kind(ml_ptrace_status_of(&info));
	return kind == ML_PTRACE_BIRTH || kind == ML_PTRACE_EXEC;
}

/* What letting go has come to. */
struct letting_go {
	bool keeps_news; /* what is still to be told is left to ml_follow_dispatch(), ends as well
			  */
	bool has_news;   /* a birth or an exec is to be told: that thread cannot be let go */
	bool progress;   /* in the last round */
	size_t left;     /* threads that have neither stopped nor ended yet */
};

static void detach_if_stopped(struct ml_follow *follow, struct tracee *tracee,
			      struct letting_go *state)
{
	pid_t tid = tracee->tid, got;
	int status;

	if (state->keeps_news && has_ended(tid))
		return;
	if (state->keeps_news && has_news(tid)) {
		state->has_news = true;
		return;
	}
	got = waitpid(tid, &status, WNOHANG | __WALL);
	if (got == 0) {
		state->left++;
		return;
	}
	if (got > 0 && WIFSTOPPED(status))
		detach(follow, tracee, status);
	else
		drop(follow, tracee);
	state->progress = true;
}

static void interrupt_all(struct ml_follow *follow, pid_t tgid)
{
	ml_proc_tids tids = list_threads(follow, tgid);

	ml_array_each (tid, &tids) {
		struct tracee *tracee = find(follow, *tid);

		if (tracee->is_held)
			detach(follow, tracee, SIGTRAP << 8 | PTRACE_EVENT_STOP << 16);
		else
			ptrace(PTRACE_INTERRUPT, *tid, NULL, 0L);
	}
	ml_array_free(&tids);
}

/*
 * Lets go of the threads of process @p tgid (0: of all); false when some are not. A thread can be
 * detached only when it has stopped, and one that sits in a vfork() or in a device's wait does not:
 * the kernel lets go of such at the end of the tool.
 */
static bool let_go(struct ml_follow *follow, pid_t tgid, bool keeps_news)
{
	const struct timespec pause = {.tv_nsec = STOP_POLL_NS};
	uint64_t deadline_ns = ml_monotonic_ns() + STOP_WAIT_NS;
	struct letting_go state = {.keeps_news = keeps_news};

	interrupt_all(follow, tgid);
	do {
		ml_proc_tids tids = list_threads(follow, tgid);

		state.left = 0;
		state.progress = false;
		ml_array_each (tid, &tids) {
			struct tracee *tracee = find(follow, *tid);

			if (tracee && !state.has_news)
				detach_if_stopped(follow, tracee, &state);
		}
		ml_array_free(&tids);
		if (state.has_news || (!state.left && !state.progress))
			return !state.has_news;
		if (!state.progress)
			nanosleep(&pause, NULL);
	} while (ml_monotonic_ns() < deadline_ns);
	return false;
}

struct ml_error *ml_follow_add(struct ml_follow *follow, pid_t pid)
{
	unsigned int count;

	/* Threads may be made while the list is read: it is whole when a reading has found no new.
	 */
	do {
		count = 0;

		struct ml_error *error = seize_threads(follow, pid, &count);

		if (error) {
			let_go(follow, pid, false);
			return error;
		}
	} while (count);
	return NULL;
}

/* Whether a thread of the process waits for its child to be told of. */
static bool is_held(const struct ml_follow *follow, pid_t pid)
{
	ml_proc_tids tids = list_threads(follow, pid);
	bool is_any = false;

	ml_array_each (tid, &tids)
		is_any = is_any || find(follow, *tid)->is_held;
	ml_array_free(&tids);
	return is_any;
}

bool ml_follow_has(const struct ml_follow *follow, pid_t pid)
{
	return find(follow, pid);
}

bool ml_follow_is_starting(const struct ml_follow *follow, pid_t pid)
{
	const struct tracee *main = find(follow, pid);

	return main && main->is_starting;
}

bool ml_follow_leave(struct ml_follow *follow, pid_t pid)
{
	if (ml_follow_is_starting(follow, pid) || is_held(follow, pid))
		return false;
	if (let_go(follow, pid, true))
		return true;
	ml_error_free(ml_follow_add(follow, pid));
	return false;
}

static struct ml_follow *create(const struct ml_follow_events *events, void *context)
{
	struct ml_follow *follow = ml_alloc(sizeof(*follow));

	*follow = (struct ml_follow){.events = events, .context = context};
	return follow;
}

struct ml_error *ml_follow_start(pid_t pid, const struct ml_follow_events *events, void *context,
				 struct ml_follow **out)
{
	struct ml_follow *follow = create(events, context);
	struct ml_error *error = ml_follow_add(follow, pid);

	if (error)
		ml_follow_stop(follow);
	else
		*out = follow;
	return error;
}

struct ml_error *ml_follow_launch(struct ml_launch *launch, const struct ml_follow_events *events,
				  void *context, struct ml_follow **out)
{
	pid_t pid = ml_launch_pid(launch);

	/* Takes PTRACE_O_EXITKILL away as well. */
	if (ptrace(PTRACE_SETOPTIONS, pid, NULL, (long)ML_FOLLOW_OPTIONS))
		return explain_seize(errno, pid);
	ml_launch_disown(launch);

	struct ml_follow *follow = create(events, context);

	*out = follow;
	handle_exec(follow, add(follow, pid, pid));
	return NULL;
}

void ml_follow_stop(struct ml_follow *follow)
{
	if (!follow)
		return;
	let_go(follow, 0, false);

	ml_proc_tids left = list_threads(follow, 0);

	ml_array_each (tid, &left)
		drop(follow, find(follow, *tid));
	ml_array_free(&left);
	ml_u64map_free(&follow->tracees);
	free(follow);
}

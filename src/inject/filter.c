/* SPDX-License-Identifier: BSD-2-Clause */
#include "inject/filter.h"

#include "base/file.h"
#include "inject/filter_program.h"
#include "inject/filter_trial.h"
#include "shared/agent_abi.h"
#include "target/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef PTRACE_SECCOMP_GET_FILTER
#define PTRACE_SECCOMP_GET_FILTER 0x420c
#endif

/* A filter chain is bounded by MAX_INSNS_PER_PATH, 32768 instructions (kernel/seccomp.c). */
#define FILTERS_MAX 4096
/* Ancestors of a process that are looked at. */
#define ANCESTORS_MAX 64

/* ---- what the agent calls ----------------------------------------------------------------------
 */

#define TGKILL_PID 0 /* the argument that the agent takes from getpid() */

/* src/agent: system_call(). Pointers are into the caller's stack. */
static const struct {
	struct ml_filter_call call;
	enum ml_agent_call bit;
} calls[] = {
	{{.number = SYS_gettid}, ML_AGENT_CALL_GETTID},
	{{.number = SYS_getpid}, ML_AGENT_CALL_TGKILL},
	{{.number = SYS_tgkill, .unknown = ML_FILTER_UNKNOWN_ARGUMENT(1)}, ML_AGENT_CALL_TGKILL},
	{{.number = SYS_nanosleep, .unknown = ML_FILTER_UNKNOWN_ARGUMENT(0)},
	 ML_AGENT_CALL_NANOSLEEP},
	{{.number = SYS_clock_gettime,
	  .arguments = {CLOCK_MONOTONIC},
	  .unknown = ML_FILTER_UNKNOWN_ARGUMENT(1)},
	 ML_AGENT_CALL_CLOCK_GETTIME},
	{{.number = SYS_rt_sigprocmask,
	  .arguments = {(uint64_t)-1, 0, 0, sizeof(uint64_t)},
	  .unknown = ML_FILTER_UNKNOWN_ARGUMENT(1)},
	 ML_AGENT_CALL_RT_SIGPROCMASK},
	{{.number = SYS_futex,
	  .arguments = {0, FUTEX_CMP_REQUEUE_PRIVATE},
	  .unknown = ML_FILTER_UNKNOWN_ARGUMENT(0) | ML_FILTER_UNKNOWN_ARGUMENT(4)},
	 ML_AGENT_CALL_FUTEX},
	{{.number = SYS_futex,
	  .arguments = {0, FUTEX_WAKE, 1},
	  .unknown = ML_FILTER_UNKNOWN_ARGUMENT(0)},
	 ML_AGENT_CALL_FUTEX_WAKE},
};

static bool passes(uint32_t answer)
{
	answer &= SECCOMP_RET_ACTION_FULL;
	return answer == SECCOMP_RET_ALLOW || answer == SECCOMP_RET_LOG;
}

/* ---- what /proc says ---------------------------------------------------------------------------
 */

static char *read_status(pid_t pid, pid_t tid)
{
	char path[64];
	char *text = NULL;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/status", pid, tid);
	ml_error_free(ml_file_read(AT_FDCWD, path, 1u << 20, &text, NULL));
	return text;
}

/* The mode of a thread, 0 when it is gone; @p filters gets their number, -1 before Linux 5.9. */
static long mode_of(pid_t pid, pid_t tid, long *filters)
{
	ML_FREE_CLEANUP char *text = read_status(pid, tid);

	*filters = text ? ml_proc_status_number(text, "Seccomp_filters:", 0, -1) : -1;
	return text ? ml_proc_status_number(text, "Seccomp:", 0, 0) : 0;
}

static bool is_strict(pid_t pid, pid_t tid)
{
	long filters;

	return mode_of(pid, tid, &filters) == SECCOMP_MODE_STRICT;
}

/* ---- the filters of a thread -------------------------------------------------------------------
 */

/* False when they cannot be read: that needs CAP_SYS_ADMIN, a tool without a filter, and Linux 4.4.
 */
static bool read_chain(pid_t tid, ml_filter_chain *out)
{
	ML_FREE_CLEANUP struct sock_filter *code = ml_alloc(sizeof(*code) * BPF_MAXINSNS);

	for (unsigned long i = 0; i < FILTERS_MAX; i++) {
		long count = ptrace(PTRACE_SECCOMP_GET_FILTER, tid, i, code);
		struct ml_filter_program *program;

		/* ENOENT: that was the last; EINVAL: it has none; ESRCH: killed meanwhile. */
		if (count < 0 && (errno == ENOENT || errno == EINVAL || errno == ESRCH))
			return true;
		if (count <= 0 || count > BPF_MAXINSNS)
			return false;
		program = ml_array_push(out);
		program->count = (size_t)count;
		program->code = ml_alloc(sizeof(*code) * program->count);
		memcpy(program->code, code, sizeof(*code) * program->count);
	}
	return false;
}

static bool is_same(const ml_filter_chain *one, const ml_filter_chain *other)
{
	bool same = one->count == other->count;

	for (size_t i = 0; i < one->count && same; i++)
		same = one->items[i].count == other->items[i].count &&
		       !memcmp(one->items[i].code, other->items[i].code,
			       sizeof(*one->items[i].code) * one->items[i].count);
	return same;
}

/* The agent's calls as this process makes them, where we know no better. */
static struct ml_filter_call as_made(size_t call, pid_t inner_pid)
{
	struct ml_filter_call made = calls[call].call;

	if (made.number == SYS_tgkill)
		made.arguments[TGKILL_PID] = (uint64_t)inner_pid;
	return made;
}

static uint32_t denied_by(const ml_filter_chain *chain, pid_t inner_pid)
{
	uint32_t denied = 0;

	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
		struct ml_filter_call made = as_made(i, inner_pid);

		if (!passes(ml_filter_chain_answer(chain, &made)))
			denied |= calls[i].bit;
	}
	return denied;
}

bool ml_filter_passes(pid_t tid, long number)
{
	const struct ml_filter_call call = {.number = number};
	ml_filter_chain chain = {0};
	bool result = read_chain(tid, &chain) &&
		      (!chain.count || passes(ml_filter_chain_answer(&chain, &call)));

	ml_filter_chain_free(&chain);
	return result;
}

uint32_t ml_filter_denied(const struct ml_stop *stop, pid_t inner_pid)
{
	ml_filter_chain checked = {0};
	uint32_t denied = 0;

	/* Threads of one process mostly have the same. */
	ml_array_each (thread, &stop->threads) {
		ml_filter_chain chain = {0};

		if (!read_chain(thread->tid, &chain) ||
		    (!chain.count && is_strict(stop->pid, thread->tid)))
			denied |= ML_AGENT_CALLS_ALL;
		else if (!is_same(&chain, &checked))
			denied |= denied_by(&chain, inner_pid);
		ml_filter_chain_free(&checked);
		checked = chain;
	}
	ml_filter_chain_free(&checked);
	return denied;
}

/* ---- without stopping anything ----------------------------------------------------------------
 */

bool ml_filter_is_on(pid_t pid, pid_t tid)
{
	long filters;

	return mode_of(pid, tid, &filters) != 0;
}

uint64_t ml_filter_kind(pid_t pid, pid_t tid)
{
	long filters, mode = mode_of(pid, tid, &filters);

	return mode ? (uint64_t)mode << 32 | (uint32_t)filters : 0;
}

/* The ancestors of @pid, itself first, as long as they have @filters filters. */
static size_t list_line(pid_t pid, long filters, pid_t line[ANCESTORS_MAX])
{
	size_t count = 0;

	while (pid > 0 && count < ANCESTORS_MAX) {
		ML_FREE_CLEANUP char *text = read_status(pid, pid);

		if (!text || ml_proc_status_number(text, "Seccomp_filters:", 0, -1) != filters)
			break;
		line[count++] = pid;
		pid = (pid_t)ml_proc_status_number(text, "PPid:", 0, 0);
	}
	return count;
}

/* Filters are inherited and never lost: those who have no more of them than an ancestor of both
 * have the same. */
static bool share_ancestor(pid_t pid, long filters)
{
	pid_t ours[ANCESTORS_MAX], theirs[ANCESTORS_MAX];
	size_t our_count = list_line(getpid(), filters, ours);
	size_t their_count = list_line(pid, filters, theirs);

	for (size_t i = 0; i < our_count; i++)
		for (size_t k = 0; k < their_count; k++)
			if (ours[i] == theirs[k])
				return true;
	return false;
}

/* A command of ours has inherited our own filters, unless it got more; and what was started in the
 * same sandbox as we has the same. */
static bool is_ours(const struct ml_process *process, long filters)
{
	long own_filters, own_mode = mode_of(getpid(), getpid(), &own_filters);

	return own_mode == SECCOMP_MODE_FILTER && own_filters == filters &&
	       (ml_process_is_held(process) ||
		(filters > 0 && share_ancestor(ml_process_pid(process), filters)));
}

struct ml_error *ml_filter_look(const struct ml_process *process, enum ml_filter_state *out,
				uint32_t *denied)
{
	pid_t pid = ml_process_pid(process);
	long strictest = 0, most = 0, filters;
	ml_proc_tids tids = {0};

	*out = ML_FILTER_NONE;
	*denied = 0;
	if (!ml_proc_threads(pid, &tids))
		return ml_error_new(ML_ERROR_TARGET, "process %d is gone", pid);
	for (size_t i = 0; i < tids.count; i++) {
		long mode = mode_of(pid, tids.items[i], &filters);

		/* The strict mode has the lower number. */
		if (strictest != SECCOMP_MODE_STRICT && mode)
			strictest = mode;
		if (filters < 0 || filters > most)
			most = filters;
	}
	ml_array_free(&tids);
	*out = strictest == 0                                               ? ML_FILTER_NONE
	       : strictest == SECCOMP_MODE_FILTER && is_ours(process, most) ? ML_FILTER_TRIED
									    : ML_FILTER_UNKNOWN;
	return *out == ML_FILTER_TRIED ? ml_filter_try(pid, denied) : NULL;
}

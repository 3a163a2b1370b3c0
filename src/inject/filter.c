/* SPDX-License-Identifier: BSD-2-Clause */
#include "inject/filter.h"

#include "base/file.h"
#include "target/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef PTRACE_SECCOMP_GET_FILTER
#define PTRACE_SECCOMP_GET_FILTER 0x420c
#endif

/* A filter chain is bounded by MAX_INSNS_PER_PATH, 32768 instructions (kernel/seccomp.c). */
#define FILTERS_MAX 4096
/* Ancestors of a process that are looked at. */
#define ANCESTORS_MAX 64

static const struct {
	const char *name;
	long number;
	bool is_agents; /* else one that gets it in */
	bool must_work; /* else an error will do */
} calls[] = {
	{"gettid", SYS_gettid, true, false},
	{"getpid", SYS_getpid, true, false},
	{"nanosleep", SYS_nanosleep, true, false},
	{"tgkill", SYS_tgkill, true, false},
	{"clock_gettime", SYS_clock_gettime, true, false},
	{"rt_sigprocmask", SYS_rt_sigprocmask, true, false},
	{"mmap", SYS_mmap, false, true},
	{"mprotect", SYS_mprotect, false, true},
	{"munlock", SYS_munlock, false, false},
	{"munmap", SYS_munmap, false, true},
	{"madvise", SYS_madvise, false, true},
	{"close", SYS_close, false, true},
	{"memfd_create", SYS_memfd_create, false, false},
};

#define CALL_COUNT (sizeof(calls) / sizeof(calls[0]))

/* ---- one filter, run ---------------------------------------------------------------------------
 */

struct machine {
	uint32_t a, x, memory[BPF_MEMWORDS];
	struct seccomp_data data;
};

static bool load(struct machine *machine, const struct sock_filter *it)
{
	uint32_t value = it->k;

	switch (BPF_MODE(it->code)) {
	case BPF_IMM:
		break;
	case BPF_ABS:
		if (BPF_CLASS(it->code) != BPF_LD || it->k % 4 ||
		    it->k > sizeof(machine->data) - sizeof(value))
			return false;
		memcpy(&value, (const char *)&machine->data + it->k, sizeof(value));
		break;
	case BPF_MEM:
		if (it->k >= BPF_MEMWORDS)
			return false;
		value = machine->memory[it->k];
		break;
	case BPF_LEN:
		value = sizeof(machine->data);
		break;
	default:
		return false;
	}
	if (BPF_CLASS(it->code) == BPF_LD)
		machine->a = value;
	else
		machine->x = value;
	return true;
}

static bool calculate(struct machine *machine, const struct sock_filter *it)
{
	uint32_t b = BPF_SRC(it->code) == BPF_X ? machine->x : it->k;

	switch (BPF_OP(it->code)) {
	case BPF_ADD:
		machine->a += b;
		return true;
	case BPF_SUB:
		machine->a -= b;
		return true;
	case BPF_MUL:
		machine->a *= b;
		return true;
	case BPF_DIV:
		machine->a = b ? machine->a / b : 0;
		return b != 0;
	case BPF_AND:
		machine->a &= b;
		return true;
	case BPF_OR:
		machine->a |= b;
		return true;
	case BPF_XOR:
		machine->a ^= b;
		return true;
	case BPF_LSH:
		machine->a = b < 32 ? machine->a << b : 0;
		return true;
	case BPF_RSH:
		machine->a = b < 32 ? machine->a >> b : 0;
		return true;
	case BPF_NEG:
		machine->a = -machine->a;
		return true;
	default:
		return false;
	}
}

/* How many instructions a jump passes over. */
static uint32_t jump(const struct machine *machine, const struct sock_filter *it)
{
	uint32_t b = BPF_SRC(it->code) == BPF_X ? machine->x : it->k;
	bool is_true = false;

	switch (BPF_OP(it->code)) {
	case BPF_JA:
		return it->k;
	case BPF_JEQ:
		is_true = machine->a == b;
		break;
	case BPF_JGT:
		is_true = machine->a > b;
		break;
	case BPF_JGE:
		is_true = machine->a >= b;
		break;
	case BPF_JSET:
		is_true = machine->a & b;
		break;
	}
	return is_true ? it->jt : it->jf;
}

static bool store(struct machine *machine, const struct sock_filter *it)
{
	if (it->k >= BPF_MEMWORDS)
		return false;
	machine->memory[it->k] = BPF_CLASS(it->code) == BPF_ST ? machine->a : machine->x;
	return true;
}

static void move(struct machine *machine, const struct sock_filter *it)
{
	if (BPF_MISCOP(it->code) == BPF_TAX)
		machine->x = machine->a;
	else
		machine->a = machine->x;
}

uint32_t ml_filter_run(const struct sock_filter *code, size_t count, uint32_t number)
{
	struct machine machine = {
		.data = {.nr = (int)number, .arch = AUDIT_ARCH_X86_64},
	};
	bool is_right = true;

	/* Jumps go forward only, so it ends. */
	for (size_t at = 0; at < count && is_right; at++) {
		const struct sock_filter *it = &code[at];

		switch (BPF_CLASS(it->code)) {
		case BPF_LD:
		case BPF_LDX:
			is_right = load(&machine, it);
			break;
		case BPF_ST:
		case BPF_STX:
			is_right = store(&machine, it);
			break;
		case BPF_ALU:
			is_right = calculate(&machine, it);
			break;
		case BPF_JMP:
			at += jump(&machine, it);
			break;
		case BPF_MISC:
			move(&machine, it);
			break;
		case BPF_RET:
			return BPF_RVAL(it->code) == BPF_A ? machine.a : it->k;
		}
	}
	return SECCOMP_RET_KILL_PROCESS;
}

/* ---- the filters of a thread ------------------------------------------------------------------
 */

static bool passes(uint32_t answer, bool must_work)
{
	switch (answer & SECCOMP_RET_ACTION_FULL) {
	case SECCOMP_RET_ALLOW:
	case SECCOMP_RET_LOG:
		return true;
	case SECCOMP_RET_ERRNO:
		return !must_work;
	default:
		return false;
	}
}

static struct ml_error *would_not_pass(pid_t pid, const char *name)
{
	return ml_error_new(ML_ERROR_UNSUPPORTED,
			    "process %d has a seccomp filter that does not let the agent's system "
			    "call %s pass; use --backend bpf",
			    pid, name);
}

/* Whoever may read a filter may also suspend it for what gets the agent in, but not on a thread
 * that is held with other options. */
static struct ml_error *check_filter(const struct ml_stop *stop, const struct sock_filter *code,
				     size_t count)
{
	for (size_t i = 0; i < CALL_COUNT; i++)
		if ((stop->is_held || calls[i].is_agents) &&
		    !passes(ml_filter_run(code, count, (uint32_t)calls[i].number),
			    calls[i].must_work))
			return would_not_pass(stop->pid, calls[i].name);
	return NULL;
}

static struct ml_error *check_thread(const struct ml_stop *stop, pid_t tid)
{
	struct ml_error *error = NULL;

	for (unsigned long i = 0; !error && i < FILTERS_MAX; i++) {
		long count = ptrace(PTRACE_SECCOMP_GET_FILTER, tid, i, NULL);

		/* ENOENT: that was the last; EINVAL: it has none; ESRCH: killed meanwhile. */
		if (count < 0 && (errno == ENOENT || errno == EINVAL || errno == ESRCH))
			return NULL;

		ML_FREE_CLEANUP struct sock_filter *code =
			count > 0 ? ml_alloc(sizeof(*code) * (size_t)count) : NULL;

		if (!code || ptrace(PTRACE_SECCOMP_GET_FILTER, tid, i, code) != count)
			return ml_error_new(
				ML_ERROR_UNSUPPORTED,
				"process %d has a seccomp filter that cannot be read "
				"(%s), so it might be killed for the agent's system "
				"calls; run memleak as root outside of the sandbox, or "
				"use --backend bpf",
				stop->pid, errno == EIO ? "that needs Linux 4.4" : strerror(errno));
		error = check_filter(stop, code, (size_t)count);
	}
	return error;
}

struct ml_error *ml_filter_check(const struct ml_stop *stop)
{
	struct ml_error *error = NULL;

	ml_array_each (thread, &stop->threads)
		if (!error)
			error = check_thread(stop, thread->tid);
	return error;
}

/* ---- without stopping anything ----------------------------------------------------------------
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

/* Each call with arguments that do nothing; the exit status is the number of one that failed. */
static void try_calls(void)
{
	long page = sysconf(_SC_PAGESIZE), result = 0;
	void *memory = mmap(NULL, (size_t)page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (size_t i = 0; i < CALL_COUNT; i++) {
		switch (calls[i].number) {
		case SYS_mmap:
			result = memory == MAP_FAILED ? -1 : 0;
			break;
		case SYS_mprotect:
			result = syscall(SYS_mprotect, memory, page, PROT_READ | PROT_WRITE);
			break;
		case SYS_madvise:
			result = syscall(SYS_madvise, memory, page, MADV_DONTFORK);
			break;
		case SYS_munmap:
			result = syscall(SYS_munmap, NULL, page);
			break;
		case SYS_close:
			result = syscall(SYS_close, -1) < 0 && errno == EBADF ? 0 : -1;
			break;
		case SYS_memfd_create:
			syscall(SYS_memfd_create, NULL, 0);
			break;
		default:
			/* Null pointers and no thread: refused, if not by the filter. */
			syscall(calls[i].number, 0, 0, 0, 0, 0, 0);
			break;
		}
		if (calls[i].must_work && result < 0)
			_exit((int)i + 1);
	}
	_exit(0);
}

/* What a filter that we have ourselves lets pass is found by trying. */
static struct ml_error *try_ours(pid_t pid)
{
	int status;
	pid_t child = fork();

	if (!child)
		try_calls();
	if (child < 0)
		return ml_error_errno(errno, "cannot start a process");
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return NULL;
	return would_not_pass(pid, WIFEXITED(status) && WEXITSTATUS(status) <= (int)CALL_COUNT
					   ? calls[WEXITSTATUS(status) - 1].name
					   : "(one of them)");
}

bool ml_filter_is_on(pid_t pid, pid_t tid)
{
	long filters;

	return mode_of(pid, tid, &filters) != 0;
}

uint64_t ml_filter_signature(pid_t pid)
{
	long filters, mode = mode_of(pid, pid, &filters);

	return (uint64_t)mode << 32 | (uint32_t)filters;
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

struct ml_error *ml_filter_look(const struct ml_process *process, enum ml_filter_state *out)
{
	pid_t pid = ml_process_pid(process);
	long strictest = 0, filters = -1;
	ml_proc_tids tids = {0};

	*out = ML_FILTER_NONE;
	if (!ml_proc_threads(pid, &tids))
		return ml_error_new(ML_ERROR_TARGET, "process %d is gone", pid);
	for (size_t i = 0; i < tids.count; i++) {
		long mode = mode_of(pid, tids.items[i], &filters);

		/* The strict mode has the lower number. */
		if (strictest != SECCOMP_MODE_STRICT && mode)
			strictest = mode;
	}
	ml_array_free(&tids);
	*out = strictest == 0              ? ML_FILTER_NONE
	       : is_ours(process, filters) ? ML_FILTER_TRIED
					   : ML_FILTER_UNKNOWN;
	if (strictest == SECCOMP_MODE_STRICT)
		return ml_error_new(ML_ERROR_UNSUPPORTED,
				    "a thread of process %d is in seccomp's strict mode, in which "
				    "it would be killed for the agent's system calls; use "
				    "--backend bpf",
				    pid);
	return *out == ML_FILTER_TRIED ? try_ours(pid) : NULL;
}

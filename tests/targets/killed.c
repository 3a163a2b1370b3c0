/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Runs a command that is killed, with all processes it has started, just before its Kth call by
 * which it may work on another process:
 *
 *     killed [-o] K COMMAND ARG...
 *
 * With -o only the process that makes the call is killed. Ends with 0 when it killed somebody, else
 * with 1 and the number of such calls on standard output (K 0: only count).
 */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROCESSES_MAX 4096
#define OPTIONS                                                                                    \
	(PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE |  \
	 PTRACE_O_EXITKILL)

static pid_t threads[PROCESSES_MAX];
static size_t thread_count;

static bool works_on_others(unsigned long long number)
{
	switch (number) {
	case SYS_ptrace:
	case SYS_wait4:
	case SYS_pwrite64:
	case SYS_process_vm_writev:
	case SYS_kill:
	case SYS_tgkill:
	case SYS_sendmsg:
	case SYS_exit_group:
		return true;
	default:
		return false;
	}
}

static bool is_entry(pid_t tid, unsigned long long *number)
{
	struct __ptrace_syscall_info info = {0};

	if (ptrace(PTRACE_GET_SYSCALL_INFO, tid, (void *)sizeof(info), &info) <= 0)
		return false;
	*number = info.entry.nr;
	return info.op == PTRACE_SYSCALL_INFO_ENTRY;
}

static void add(pid_t tid)
{
	for (size_t i = 0; i < thread_count; i++)
		if (threads[i] == tid)
			return;
	if (thread_count < PROCESSES_MAX)
		threads[thread_count++] = tid;
}

static void kill_all(void)
{
	for (size_t i = 0; i < thread_count; i++)
		kill(threads[i], SIGKILL);
}

/* Lets @tid go on from its stop. */
static void resume(pid_t tid, int status)
{
	int signal = WSTOPSIG(status);

	if ((signal & 0x7f) == SIGTRAP || signal == SIGSTOP || status >> 16)
		signal = 0;
	ptrace(PTRACE_SYSCALL, tid, NULL, (void *)(long)signal);
}

int main(int argc, char **argv)
{
	bool only_caller = argc > 1 && !strcmp(argv[1], "-o"), has_killed = false;
	long at, seen = 0;
	int status;
	pid_t first, tid;

	argv += only_caller;
	if (argc - only_caller < 3)
		return 99;
	at = atol(argv[1]);
	first = fork();
	if (!first) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		execvp(argv[2], argv + 2);
		_exit(99);
	}
	waitpid(first, &status, __WALL);
	add(first);
	ptrace(PTRACE_SETOPTIONS, first, NULL, (void *)(long)OPTIONS);
	ptrace(PTRACE_SYSCALL, first, NULL, NULL);
	while ((tid = waitpid(-1, &status, __WALL)) > 0) {
		unsigned long long number;

		if (!WIFSTOPPED(status))
			continue;
		add(tid);
		if (WSTOPSIG(status) == (SIGTRAP | 0x80) && is_entry(tid, &number) &&
		    works_on_others(number) && ++seen == at) {
			has_killed = true;
			kill(tid, SIGKILL);
			if (!only_caller)
				kill_all();
		}
		resume(tid, status);
	}
	if (!has_killed)
		printf("%ld\n", seen);
	return !has_killed;
}

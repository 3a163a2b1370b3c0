/* SPDX-License-Identifier: BSD-2-Clause */
/** What a wait status of a tracee attached by PTRACE_SEIZE says (ptrace(2)). */
#ifndef ML_TARGET_PTRACE_STOP_H
#define ML_TARGET_PTRACE_STOP_H

#include <signal.h>
#include <stdbool.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

enum ml_ptrace_stop {
	ML_PTRACE_SIGNAL,  /**< about to get a signal: pass it on when resuming */
	ML_PTRACE_SYSCALL, /**< at the entry or the exit of a system call */
	ML_PTRACE_GROUP,   /**< job control stopped it: only PTRACE_LISTEN keeps it stopped */
	ML_PTRACE_TRAP,    /**< just born, interrupted by us, or its job goes on */
	ML_PTRACE_EXEC,
	ML_PTRACE_END,   /**< its memory is still there */
	ML_PTRACE_BIRTH, /**< fork, vfork or clone */
	ML_PTRACE_OTHER,
};

/** The kind of stop of a status for which WIFSTOPPED holds. */
static inline enum ml_ptrace_stop ml_ptrace_stop_kind(int status)
{
	switch (status >> 16) {
	case 0:
		return WSTOPSIG(status) == (SIGTRAP | 0x80) ? ML_PTRACE_SYSCALL : ML_PTRACE_SIGNAL;
	case PTRACE_EVENT_STOP:
		return WSTOPSIG(status) == SIGTRAP ? ML_PTRACE_TRAP : ML_PTRACE_GROUP;
	case PTRACE_EVENT_EXEC:
		return ML_PTRACE_EXEC;
	case PTRACE_EVENT_EXIT:
		return ML_PTRACE_END;
	case PTRACE_EVENT_FORK:
	case PTRACE_EVENT_VFORK:
	case PTRACE_EVENT_CLONE:
		return ML_PTRACE_BIRTH;
	default:
		return ML_PTRACE_OTHER;
	}
}

/** Whether waitid() tells of an end. Asked for ends alone it tells of a tracee's stops as well
 * (wait_task_stopped() of Linux). */
static inline bool ml_ptrace_is_end(const siginfo_t *info)
{
	return info->si_code == CLD_EXITED || info->si_code == CLD_KILLED ||
	       info->si_code == CLD_DUMPED;
}

/** The wait status of a stop that waitid() tells of. */
static inline int ml_ptrace_status_of(const siginfo_t *info)
{
	return info->si_status << 8 | 0x7f;
}

/** Lets @p pid go on after a stop of @p status that needs nothing of us: by @p request, with its
 * signal if it was about to get one, and stopped still where job control wants that. */
static inline void ml_ptrace_resume(pid_t pid, int status, enum __ptrace_request request)
{
	enum ml_ptrace_stop kind = ml_ptrace_stop_kind(status);
	long number = kind == ML_PTRACE_SIGNAL ? WSTOPSIG(status) : 0;

	ptrace(kind == ML_PTRACE_GROUP ? PTRACE_LISTEN : request, pid, NULL, number);
}

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
#include "inject/machine.h"

#include <errno.h>
#include <stddef.h>
#include <sys/ptrace.h>

bool ml_registers_get(pid_t tid, struct user_regs_struct *out)
{
	return !ptrace(PTRACE_GETREGS, tid, NULL, out);
}

bool ml_registers_set(pid_t tid, const struct user_regs_struct *registers)
{
	return !ptrace(PTRACE_SETREGS, tid, NULL, registers);
}

uint64_t ml_registers_read_ip(pid_t tid)
{
	long ip;

	errno = 0;
	ip = ptrace(PTRACE_PEEKUSER, tid, offsetof(struct user_regs_struct, rip), NULL);
	return errno ? 0 : (uint64_t)ip;
}

uint64_t ml_registers_ip(const struct user_regs_struct *registers)
{
	return registers->rip;
}

void ml_registers_set_ip(struct user_regs_struct *registers, uint64_t ip)
{
	registers->rip = ip;
}

uint64_t ml_registers_thread(const struct user_regs_struct *registers)
{
	return registers->fs_base;
}

uint64_t ml_registers_sp(const struct user_regs_struct *registers)
{
	return registers->rsp;
}

void ml_registers_set_call(struct user_regs_struct *registers, uint64_t ip, long number,
			   const uint64_t arguments[6])
{
	registers->rip = ip;
	registers->rax = (unsigned long)number;
	registers->orig_rax = (unsigned long)-1;
	registers->rdi = arguments[0];
	registers->rsi = arguments[1];
	registers->rdx = arguments[2];
	registers->r10 = arguments[3];
	registers->r8 = arguments[4];
	registers->r9 = arguments[5];
}

int64_t ml_registers_result(const struct user_regs_struct *registers)
{
	return (int64_t)registers->rax;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Runs a command under filters of system calls, as others install them:
 *
 *     sandbox KIND COMMAND ARG...
 *
 * "service" is what systemd makes of a hardened unit (its src/shared/seccomp-util.c): a filter for
 * each directive and each of the machine's three architectures, and one that kills for what
 * services have no business with. "arguments" kills by arguments, as browsers' do: for what a
 * process does to others, and for what is not usual. "bare" allows what one thread needs to be
 * loaded and to compute.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "filter_code.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define COUNT(list) (sizeof(list) / sizeof(*(list)))
#define X32_BIT     0x40000000u

static void answer(unsigned int value)
{
	add(BPF_RET | BPF_K, value, 0, 0);
}

static void load_argument(unsigned int argument)
{
	load(offsetof(struct seccomp_data, args) + 8 * argument);
}

/* The filter so far, with @otherwise for all that it has no answer to; then a new one begins. */
static void install(unsigned int otherwise)
{
	answer(otherwise);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) {
		perror("sandbox");
		exit(99);
	}
	program.len = 0;
}

static void answer_call(unsigned int number, unsigned int value)
{
	load(offsetof(struct seccomp_data, nr));
	add(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1);
	answer(value);
}

/* When one of the bits @mask of the argument is set, or all of them. */
static void answer_bits(unsigned int number, unsigned int argument, unsigned int mask, int all,
			unsigned int value)
{
	load(offsetof(struct seccomp_data, nr));
	add(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 4);
	load_argument(argument);
	add(BPF_ALU | BPF_AND | BPF_K, mask, 0, 0);
	add(BPF_JMP | (all ? BPF_JEQ : BPF_JGE) | BPF_K, all ? mask : 1, 0, 1);
	answer(value);
}

/* When the argument is none of @allowed. */
static void answer_others(unsigned int number, unsigned int argument, const unsigned int *allowed,
			  unsigned int count, unsigned int value)
{
	load(offsetof(struct seccomp_data, nr));
	add(BPF_JMP | BPF_JEQ | BPF_K, number, 0, count + 2);
	load_argument(argument);
	for (unsigned int i = 0; i < count; i++)
		add(BPF_JMP | BPF_JEQ | BPF_K, allowed[i], count - i, 0);
	answer(value);
}

/* ---- a hardened unit ---------------------------------------------------------------------------
 */

#define DENY (SECCOMP_RET_ERRNO | EPERM)

static void restrict_address_families(void)
{
	static const unsigned int families[] = {AF_UNIX, AF_INET, AF_INET6};

	answer_others(SYS_socket, 0, families, COUNT(families), SECCOMP_RET_ERRNO | EAFNOSUPPORT);
}

static void deny_write_execute(void)
{
	answer_bits(SYS_mmap, 2, PROT_WRITE | PROT_EXEC, 1, DENY);
	answer_bits(SYS_mprotect, 2, PROT_EXEC, 1, DENY);
	answer_bits(SYS_pkey_mprotect, 2, PROT_EXEC, 1, DENY);
	answer_bits(SYS_shmat, 2, SHM_EXEC, 1, DENY);
}

static void restrict_realtime(void)
{
	static const unsigned int policies[] = {SCHED_OTHER, SCHED_BATCH, SCHED_IDLE};

	answer_others(SYS_sched_setscheduler, 1, policies, COUNT(policies), DENY);
	answer_call(SYS_sched_setattr, DENY);
}

static void restrict_suid(void)
{
	answer_bits(SYS_chmod, 1, S_ISUID | S_ISGID, 0, DENY);
	answer_bits(SYS_fchmod, 1, S_ISUID | S_ISGID, 0, DENY);
	answer_bits(SYS_fchmodat, 2, S_ISUID | S_ISGID, 0, DENY);
	answer_bits(SYS_mkdir, 1, S_ISUID | S_ISGID, 0, DENY);
}

static void restrict_namespaces(void)
{
	const unsigned int all = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |
				 CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWCGROUP;

	answer_call(435 /* clone3 */, SECCOMP_RET_ERRNO | ENOSYS);
	answer_bits(SYS_clone, 0, all, 0, DENY);
	answer_bits(SYS_unshare, 0, all, 0, DENY);
	answer_call(SYS_setns, DENY);
}

static void lock_personality(void)
{
	static const unsigned int usual[] = {0, 0xffffffff};

	answer_others(SYS_personality, 0, usual, COUNT(usual), DENY);
}

static void protect_kernel(void)
{
	answer_call(SYS__sysctl, DENY);
	answer_call(SYS_syslog, DENY);
}

static void protect_clock(void)
{
	answer_call(SYS_adjtimex, DENY);
	answer_call(SYS_clock_adjtime, DENY);
	answer_call(SYS_clock_settime, DENY);
	answer_call(SYS_settimeofday, DENY);
}

static void protect_modules(void)
{
	answer_call(SYS_delete_module, DENY);
	answer_call(SYS_finit_module, DENY);
	answer_call(SYS_init_module, DENY);
}

static void protect_hardware(void)
{
	answer_call(SYS_ioperm, DENY);
	answer_call(SYS_iopl, DENY);
}

static void protect_hostname(void)
{
	answer_call(SYS_sethostname, DENY);
	answer_call(SYS_setdomainname, DENY);
}

static void (*const directives[])(void) = {
	restrict_address_families, deny_write_execute, restrict_realtime, restrict_suid,
	restrict_namespaces,       lock_personality,   protect_kernel,    protect_clock,
	protect_modules,           protect_hardware,   protect_hostname,
};

/* Only for calls of one architecture: the others' go on to its filter. */
static void begin_for(unsigned int architecture)
{
	load(offsetof(struct seccomp_data, arch));
	add(BPF_JMP | BPF_JEQ | BPF_K, architecture, 1, 0);
	answer(SECCOMP_RET_ALLOW);
}

/* @privileged, @resources and the like, that @system-service has not. */
static const unsigned int not_for_services[] = {
	SYS_ptrace,    SYS_bpf,         SYS_mount,   SYS_umount2,           SYS_pivot_root,
	SYS_reboot,    SYS_swapon,      SYS_swapoff, SYS_kexec_load,        SYS_perf_event_open,
	SYS_chroot,    SYS_acct,        SYS_mbind,   SYS_process_vm_writev, SYS_process_vm_readv,
	SYS_setgroups, SYS_userfaultfd, SYS_kcmp,    SYS_open_by_handle_at, SYS_quotactl,
};

static void run_as_service(void)
{
	for (size_t i = 0; i < COUNT(directives); i++) {
		begin_for(AUDIT_ARCH_X86_64);
		directives[i]();
		install(SECCOMP_RET_ALLOW);
		begin_for(AUDIT_ARCH_I386);
		install(SECCOMP_RET_ALLOW);
		load(offsetof(struct seccomp_data, nr));
		add(BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 1, 0);
		answer(SECCOMP_RET_ALLOW);
		install(SECCOMP_RET_ALLOW);
	}
	begin_for(AUDIT_ARCH_X86_64);
	for (size_t i = 0; i < COUNT(not_for_services); i++)
		answer_call(not_for_services[i], SECCOMP_RET_KILL_PROCESS);
	install(SECCOMP_RET_ALLOW);
}

/* ---- by arguments ------------------------------------------------------------------------------
 */

static void run_by_arguments(void)
{
	const unsigned int self = (unsigned int)getpid(), clock_ids[] = {CLOCK_MONOTONIC};
	static const unsigned int ways[] = {SIG_BLOCK, SIG_UNBLOCK, SIG_SETMASK};
	static const unsigned int advices[] = {MADV_DONTNEED};

	answer_others(SYS_tgkill, 0, &self, 1, SECCOMP_RET_KILL_PROCESS);
	answer_others(SYS_clock_gettime, 0, clock_ids, 1, SECCOMP_RET_KILL_PROCESS);
	answer_others(SYS_rt_sigprocmask, 0, ways, COUNT(ways), SECCOMP_RET_KILL_PROCESS);
	answer_others(SYS_madvise, 2, advices, COUNT(advices), SECCOMP_RET_KILL_PROCESS);
	answer_bits(SYS_mmap, 2, PROT_WRITE | PROT_EXEC, 1, SECCOMP_RET_KILL_PROCESS);
	install(SECCOMP_RET_ALLOW);
}

/* ---- next to nothing ---------------------------------------------------------------------------
 */

static const unsigned int bare[] = {
	SYS_read,
	SYS_write,
	SYS_open,
	SYS_openat,
	SYS_close,
	SYS_fstat,
	SYS_newfstatat,
	SYS_mmap,
	SYS_munmap,
	SYS_mprotect,
	SYS_mremap,
	SYS_brk,
	SYS_pread64,
	SYS_access,
	SYS_execve,
	SYS_arch_prctl,
	SYS_set_tid_address,
	SYS_set_robust_list,
	SYS_prlimit64,
	SYS_getrandom,
	SYS_exit,
	SYS_exit_group,
	SYS_rt_sigreturn,
	SYS_getpid,
	334 /* rseq */,
};

static void run_barely(void)
{
	load(offsetof(struct seccomp_data, nr));
	for (unsigned int i = 0; i < COUNT(bare); i++)
		add(BPF_JMP | BPF_JEQ | BPF_K, bare[i], COUNT(bare) - i, 0);
	answer(SECCOMP_RET_KILL_PROCESS);
	install(SECCOMP_RET_ALLOW);
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 99;
	if (!strcmp(argv[1], "service"))
		run_as_service();
	else if (!strcmp(argv[1], "arguments"))
		run_by_arguments();
	else if (!strcmp(argv[1], "bare"))
		run_barely();
	else
		return 99;
	execvp(argv[2], argv + 2);
	perror(argv[2]);
	return 99;
}

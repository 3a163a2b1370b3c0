/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Runs a command on a kernel that seems to lack system calls:
 *
 *     without [-e ERRNO] NAME[,NAME...] COMMAND ARG...
 *
 * by a seccomp filter that answers those calls with ERRNO (38, ENOSYS, by default), or with
 * "-e kill" kills whoever makes them. The name "later" stands for all that came after Linux 3.4,
 * with the newer requests and flags of older calls, each answered as that kernel would.
 */
#include "filter_code.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The first system call of x86-64 that Linux 3.4 did not have, kcmp(). */
#define FIRST_LATER 312

static const struct {
	const char *name;
	unsigned int number;
} calls[] = {
	{"bpf", SYS_bpf},
	{"perf_event_open", SYS_perf_event_open},
	{"memfd_create", SYS_memfd_create},
	{"pidfd_open", 434},
	{"openat2", 437},
	{"process_vm_readv", SYS_process_vm_readv},
	{"process_vm_writev", SYS_process_vm_writev},
	{"kcmp", SYS_kcmp},
	{"statx", SYS_statx},
	{"getrandom", SYS_getrandom},
	{"close_range", 436},
	{"clone3", 435},
	{"renameat2", SYS_renameat2},
	{"mmap", SYS_mmap},
	{"gettid", SYS_gettid},
	{"mprotect", SYS_mprotect},
};

static unsigned int number_of(const char *name)
{
	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		if (!strcmp(calls[i].name, name))
			return calls[i].number;
	fprintf(stderr, "without: %s is not known\n", name);
	exit(99);
}

/* What older calls did not take then: an argument that lies, masked, in a range. */
static const struct {
	unsigned int number, argument, mask, from, to, errnum;
} later[] = {
	{SYS_madvise, 2, ~0u, 18, 99, EINVAL},               /* MADV_WIPEONFORK and on */
	{SYS_ptrace, 0, ~0u, 0x4209, 0x42ff, EIO},           /* PTRACE_PEEKSIGINFO and on */
	{SYS_prctl, 0, ~0u, 38, ~0u, EINVAL},                /* PR_SET_NO_NEW_PRIVS and on */
	{SYS_open, 1, 020000000, 1, ~0u, EISDIR},            /* O_TMPFILE */
	{SYS_openat, 2, 020000000, 1, ~0u, EISDIR},          /* the same */
	{SYS_fcntl, 1, ~0u, 1033, 1100, EINVAL},             /* F_ADD_SEALS and on */
	{SYS_perf_event_open, 4, 8, 1, ~0u, EINVAL},         /* PERF_FLAG_FD_CLOEXEC */
	{SYS_mmap, 3, 0xf, 3, 3, EINVAL},                    /* MAP_SHARED_VALIDATE */
	{SYS_mremap, 3, ~0u, 4, ~0u, EINVAL},                /* MREMAP_DONTUNMAP */
	{SYS_fcntl, 1, ~0u, 36, 38, EINVAL},                 /* locks of open file descriptions */
	{SYS_fallocate, 1, ~0u, 8, ~0u, EOPNOTSUPP},         /* FALLOC_FL_COLLAPSE_RANGE and on */
	{SYS_waitid, 0, ~0u, 3, ~0u, EINVAL},                /* P_PIDFD */
	{SYS_futex, 1, 0x7f, 13, ~0u, ENOSYS},               /* FUTEX_LOCK_PI2 */
	{SYS_timerfd_create, 0, ~0u, 7, ~0u, EINVAL},        /* CLOCK_BOOTTIME and on */
	{SYS_arch_prctl, 0, ~0u, 0x1011, ~0u, EINVAL},       /* ARCH_GET_CPUID and on */
	{SYS_ioctl, 1, ~0u, 0xb701, 0xb7ff, ENOTTY},         /* of namespaces */
	{SYS_ioctl, 1, ~0u, 0x40042408, 0x40042408, ENOTTY}, /* PERF_EVENT_IOC_SET_BPF */
};

/* Requests of ptrace whose options were fewer. */
static const unsigned int with_options[] = {0x4200 /* SETOPTIONS */, 0x4206 /* SEIZE */};

#define OPTIONS_OF_3_4 0x7fu

/* Loads an argument's lower half, masked. */
static void load_argument(unsigned int argument, unsigned int mask)
{
	load(offsetof(struct seccomp_data, args) + 8 * argument);
	add(BPF_ALU | BPF_AND | BPF_K, mask, 0, 0);
}

static void answer_from(unsigned int number, unsigned int answer)
{
	load(offsetof(struct seccomp_data, nr));
	add(BPF_JMP | BPF_JGE | BPF_K, number, 0, 1);
	add(BPF_RET | BPF_K, answer, 0, 0);
}

static void answer_call(unsigned int number, unsigned int answer)
{
	load(offsetof(struct seccomp_data, nr));
	add(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1);
	add(BPF_RET | BPF_K, answer, 0, 0);
}

static void answer_later(void)
{
	answer_from(FIRST_LATER, SECCOMP_RET_ERRNO | ENOSYS);
	for (size_t i = 0; i < sizeof(later) / sizeof(*later); i++) {
		load(offsetof(struct seccomp_data, nr));
		add(BPF_JMP | BPF_JEQ | BPF_K, later[i].number, 0, 5);
		load_argument(later[i].argument, later[i].mask);
		add(BPF_JMP | BPF_JGE | BPF_K, later[i].from, 0, 2);
		add(BPF_JMP | BPF_JGT | BPF_K, later[i].to, 1, 0);
		add(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | later[i].errnum, 0, 0);
	}
	for (size_t i = 0; i < sizeof(with_options) / sizeof(*with_options); i++) {
		load(offsetof(struct seccomp_data, nr));
		add(BPF_JMP | BPF_JEQ | BPF_K, SYS_ptrace, 0, 7);
		load_argument(0, ~0u);
		add(BPF_JMP | BPF_JEQ | BPF_K, with_options[i], 0, 4);
		load_argument(3, ~OPTIONS_OF_3_4);
		add(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0);
		add(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL, 0, 0);
	}
}

int main(int argc, char **argv)
{
	unsigned int answer = SECCOMP_RET_ERRNO | ENOSYS;
	int option;

	while ((option = getopt(argc, argv, "+e:")) > 0) {
		if (option != 'e')
			return 99;
		answer = strcmp(optarg, "kill") ? SECCOMP_RET_ERRNO | (unsigned)atoi(optarg)
						: SECCOMP_RET_KILL_PROCESS;
	}
	if (argc - optind < 2)
		return 99;
	for (char *name = strtok(argv[optind], ","); name; name = strtok(NULL, ",")) {
		if (strcmp(name, "later"))
			answer_call(number_of(name), answer);
		else
			answer_later();
	}
	add(BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) {
		perror("without");
		return 99;
	}
	execvp(argv[optind + 1], argv + optind + 1);
	perror(argv[optind + 1]);
	return 99;
}

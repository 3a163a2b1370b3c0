/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Runs a command on a kernel that seems to lack system calls:
 *
 *     without [-e ERRNO] NAME[,NAME...] COMMAND ARG...
 *
 * by a seccomp filter that answers those calls with ERRNO (38, ENOSYS, by default), or with
 * "-e kill" kills whoever makes them. -m ADVICE answers that advice of madvise() with EINVAL.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NAMES_MAX 40

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

static int number_of(const char *name)
{
	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		if (!strcmp(calls[i].name, name))
			return (int)calls[i].number;
	fprintf(stderr, "without: %s is not known\n", name);
	exit(99);
}

int main(int argc, char **argv)
{
	struct sock_filter code[2 * NAMES_MAX + 8];
	struct sock_fprog program = {.filter = code};
	unsigned int answer = SECCOMP_RET_ERRNO | ENOSYS;
	int option, advice = 0;

	while ((option = getopt(argc, argv, "+e:m:")) > 0) {
		if (option == 'e')
			answer = strcmp(optarg, "kill") ? SECCOMP_RET_ERRNO | (unsigned)atoi(optarg)
							: SECCOMP_RET_KILL_PROCESS;
		else if (option == 'm')
			advice = atoi(optarg);
		else
			return 99;
	}
	if (argc - optind < 2)
		return 99;
	code[program.len++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
							   offsetof(struct seccomp_data, nr));
	for (char *name = strtok(argv[optind], ","); name; name = strtok(NULL, ",")) {
		code[program.len++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
								   (unsigned)number_of(name), 0, 1);
		code[program.len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, answer);
	}
	if (advice) {
		code[program.len++] =
			(struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 0, 3);
		code[program.len++] = (struct sock_filter)BPF_STMT(
			BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2]));
		code[program.len++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
								   (unsigned)advice, 0, 1);
		code[program.len++] =
			(struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL);
	}
	code[program.len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) {
		perror("without");
		return 99;
	}
	execvp(argv[optind + 1], argv + optind + 1);
	perror(argv[optind + 1]);
	return 99;
}

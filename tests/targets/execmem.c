/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Runs a command that may not map anonymous memory as code, nor make memory code:
 *
 *     execmem anonymous|file COMMAND ARG...
 *
 * which is what SELinux does to a domain without execmem and execmod (EACCES). With "file" the
 * beginning of a file may not be mapped so either.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOAD(place)                                                                                \
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned int)offsetof(struct seccomp_data, place))
#define IF(operation, number, yes, no)                                                             \
	BPF_JUMP(BPF_JMP | (operation) | BPF_K, (unsigned int)(number), (yes), (no))
#define ANSWER(answer) BPF_STMT(BPF_RET | BPF_K, (answer))

int main(int argc, char **argv)
{
	struct sock_filter code[] = {
		LOAD(nr),
		IF(BPF_JEQ, SYS_mprotect, 0, 2),
		LOAD(args[2]),
		IF(BPF_JSET, PROT_EXEC, 7, 8),
		IF(BPF_JEQ, SYS_mmap, 0, 7),
		LOAD(args[2]),
		IF(BPF_JSET, PROT_EXEC, 0, 5),
		LOAD(args[3]),
		IF(BPF_JSET, MAP_ANONYMOUS, 2, 0),
		LOAD(args[5]),
		IF(BPF_JEQ, 0, 0, 1), /* "anonymous": never */
		ANSWER(SECCOMP_RET_ERRNO | EACCES),
		ANSWER(SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = {sizeof(code) / sizeof(*code), code};

	if (argc < 3)
		return 99;
	if (!strcmp(argv[1], "anonymous"))
		code[10].jt = 1;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) {
		perror("execmem");
		return 99;
	}
	execvp(argv[2], argv + 2);
	perror(argv[2]);
	return 99;
}

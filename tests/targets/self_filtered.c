/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Gets itself a filter that kills for what the agent would like to call, and at once allocates 50
 * blocks of 101 bytes at ever deeper places of its stack.
 */
#include "truth.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define COUNT 50
#define BYTES 101

static void forbid(unsigned int number)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = {sizeof(code) / sizeof(*code), code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		_exit(99);
}

static NOINLINE void leak_at(size_t depth)
{
	char room[3000];

	truth_keep(room);
	if (depth)
		leak_at(depth - 1);
	else
		truth_keep(malloc(truth_opaque(BYTES)));
	truth_keep(room);
}

int main(void)
{
	static const unsigned int calls[] = {SYS_rt_sigprocmask, SYS_gettid,        SYS_futex,
					     SYS_tgkill,         SYS_clock_gettime, SYS_nanosleep};

	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		forbid(calls[i]);
	for (size_t i = 0; i < COUNT; i++)
		leak_at(2 * i);
	truth_site("leak_at", 0, COUNT * BYTES, COUNT);
	return 0;
}

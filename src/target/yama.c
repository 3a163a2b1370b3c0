/* SPDX-License-Identifier: BSD-2-Clause */
#include "target/yama.h"

#include "base/file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

int ml_yama_scope(void)
{
	ML_FREE_CLEANUP char *text = NULL;
	ML_ERROR_CLEANUP struct ml_error *error =
		ml_file_read(AT_FDCWD, "/proc/sys/kernel/yama/ptrace_scope", 64, &text, NULL);

	return error ? 0 : atoi(text);
}

const char *ml_yama_advice(void)
{
	int scope = ml_yama_scope();

	if (scope >= 3)
		return "kernel.yama.ptrace_scope is 3, which forbids ptrace to everybody until the "
		       "machine starts anew; as root, --backend bpf traces running processes "
		       "without it";
	if (!geteuid())
		return "a container needs --cap-add SYS_PTRACE for it, or a security module "
		       "forbids it";
	if (scope == 2)
		return "kernel.yama.ptrace_scope is 2: only root may use ptrace, run memleak as "
		       "root (sudo)";
	if (scope == 1)
		return "kernel.yama.ptrace_scope is 1: without root, memleak can trace what it "
		       "starts itself (memleak -- COMMAND); else run it as root (sudo)";
	return "the process is another user's or has more rights than you: run memleak as root "
	       "(sudo)";
}

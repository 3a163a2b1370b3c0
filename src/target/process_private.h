/* SPDX-License-Identifier: BSD-2-Clause */
/** struct ml_process, shared by the files that implement target/process.h. */
#ifndef ML_TARGET_PROCESS_PRIVATE_H
#define ML_TARGET_PROCESS_PRIVATE_H

#include "target/process.h"

/** Longest text of a small /proc file: status lists up to 65536 groups, cgroup one path a line. */
#define ML_PROC_TEXT_MAX ((size_t)1 << 20)

struct ml_process {
	pid_t pid;
	int proc_fd; /**< /proc/PID: stays this process's, whoever has the number later; owned */
	int root_fd; /**< its root directory (O_PATH), so that it can be searched after its end;
		      * owned, -1 when we may not */
	char *root;  /**< what we call that directory; "" when it is not known; owned */
	int pidfd;   /**< owned, -1 when the kernel has none */
	uint64_t start_time;
	char *comm; /**< owned */
	char *exe;  /**< owned */
	char *container;
	pid_t inner_pid;
	pid_t tracer;
	int seccomp;
	bool is_held;
	uid_t uid; /**< what its access to files is checked with (fsuid); (uid_t)-1: not known */
	gid_t gid;
};

/** Why the kernel denies us @p process: whose it is and what would help. */
struct ml_error *ml_process_denied(const struct ml_process *process);

#endif

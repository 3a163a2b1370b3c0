/* SPDX-License-Identifier: BSD-2-Clause */
/** The limit that a process whose memory grows runs into first. */
#ifndef ML_TARGET_MEMORY_LIMIT_H
#define ML_TARGET_MEMORY_LIMIT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum ml_memory_limit_kind {
	ML_LIMIT_NONE,    /**< nothing could be read */
	ML_LIMIT_CGROUP,  /**< memory.max of its cgroup or one above */
	ML_LIMIT_ADDRESS, /**< RLIMIT_AS */
	ML_LIMIT_DATA,    /**< RLIMIT_DATA */
	ML_LIMIT_MACHINE, /**< all memory; used is what is not MemAvailable */
};

struct ml_memory_limit {
	enum ml_memory_limit_kind kind;
	uint64_t limit_bytes;
	uint64_t used_bytes; /**< now, of what is limited */
};

/**
 * The limit with the least room left for process @p pid (0: for the machine), as seen from outside.
 * Limits that cannot be read are passed over.
 */
void ml_memory_limit_find(pid_t pid, struct ml_memory_limit *out);

/** How much of its addresses @p pid may map (RLIMIT_AS) and has mapped; ML_LIMIT_NONE: as many as
 * it likes. */
void ml_memory_limit_address(pid_t pid, struct ml_memory_limit *out);

/**
 * The limit of the cgroup that @p cgroups (the text of /proc/PID/cgroup) names below @p root_fd
 * (what is mounted at /sys/fs/cgroup), and of those above it, when it leaves less room than @p out,
 * which it then replaces. For tests.
 */
void ml_memory_limit_cgroup(int root_fd, const char *cgroups, struct ml_memory_limit *out);

#endif

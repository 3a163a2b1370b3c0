/* SPDX-License-Identifier: BSD-2-Clause */
/** The texts of /proc/PID/status and /proc/PID/stat. */
#ifndef ML_TARGET_PROC_H
#define ML_TARGET_PROC_H

#include "base/array.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/** What this project needs of /proc/PID/stat (proc_pid_stat(5)). */
struct ml_proc_stat {
	char state;          /**< field 3 */
	bool is_kernel;      /**< PF_KTHREAD of field 9 */
	long threads;        /**< field 20 */
	uint64_t start_time; /**< field 22, clock ticks after boot */
	uint64_t heap_start; /**< field 47, where what brk() gives begins; 0 when not told */
};

/** Reads the stat file of thread @p tid; false when it is gone or not understood. */
bool ml_proc_stat_read(pid_t tid, struct ml_proc_stat *out);

/** When thread @p tid started, in clock ticks after boot; 0 when it is gone. */
uint64_t ml_proc_start_ticks(pid_t tid);

/** Now, in the same ticks. */
uint64_t ml_proc_now_ticks(void);

/** Parses a stat file; comm may hold blanks and parentheses. False when it is not one. */
bool ml_proc_stat_parse(const char *text, struct ml_proc_stat *out);

/**
 * The number at place @p index (0 the first, negative counts from the end: -1 the last) behind
 * @p key (with its colon) in a status file; @p missing when it is not there.
 */
long ml_proc_status_number(const char *text, const char *key, int index, long missing);

/** The process that thread @p tid belongs to, 0 when there is no such thread. */
pid_t ml_proc_tgid(pid_t tid);

/** True when thread @p tid has ended or is gone: ptrace then says EPERM (ptrace_attach() in
 * kernel/ptrace.c). */
bool ml_proc_has_ended(pid_t tid);

/** pid of the tracer of thread @p tid, 0 when there is none. */
pid_t ml_proc_tracer(pid_t tid);

/** The signals that thread @p tid holds back, a bit for each; false when that cannot be read. */
bool ml_proc_blocked(pid_t tid, uint64_t *mask);

typedef ML_ARRAY(pid_t) ml_proc_tids;

/**
 * Adds the threads of process @p pid; those that are born or end meanwhile may be in it or not.
 * False, with errno, when the list cannot be opened: ENOENT when the process is gone.
 */
bool ml_proc_threads(pid_t pid, ml_proc_tids *out);

#endif

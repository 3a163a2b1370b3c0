/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * One process, told from any later one of the same pid by (pidfd, start time).
 */
#ifndef ML_TARGET_PROCESS_H
#define ML_TARGET_PROCESS_H

#include "base/error.h"
#include "target/maps.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct ml_process;

/**
 * Opens process @p pid (a thread id is turned into its process and said so in no error).
 * ML_ERROR_TARGET with one line that says what and what to do: no such process, a kernel thread, a
 * zombie, main thread gone, 32-bit, not permitted (whose it is and what would help).
 */
struct ml_error *ml_process_open(pid_t pid, struct ml_process **out);
/** NULL is fine. */
void ml_process_close(struct ml_process *process);

pid_t ml_process_pid(const struct ml_process *process);
/**
 * Becomes readable when the process ends: for epoll. Borrowed. -1 on Linux < 5.3, which has no
 * pidfd_open(): ask ml_process_is_alive() from time to time there.
 */
int ml_process_pidfd(const struct ml_process *process);
/** Clock ticks after boot at which it started (field 22 of /proc/PID/stat). */
uint64_t ml_process_start_time(const struct ml_process *process);
/** False once the process is gone or is another one of the same pid. */
bool ml_process_is_alive(const struct ml_process *process);
/** comm, as last read; escaped when printed, not here. */
const char *ml_process_comm(const struct ml_process *process);
/** Target of /proc/PID/exe, "" when unreadable. */
const char *ml_process_exe(const struct ml_process *process);
/** The process's pid in its own (innermost) pid namespace: NSpid's last field. */
pid_t ml_process_inner_pid(const struct ml_process *process);
/** Container name or short id from its cgroup, NULL when it is in none. */
const char *ml_process_container(const struct ml_process *process);
/** Value of Seccomp: in /proc/PID/status: 0 off, 1 strict, 2 filter. */
int ml_process_seccomp(const struct ml_process *process);
/** pid of the tracer (TracerPid), 0 for none. */
pid_t ml_process_tracer(const struct ml_process *process);
/**
 * Says that the process (one thread, so newborn or just exec'ed) stands stopped under our own
 * ptrace until this is taken back: system calls can then be made in its name right away.
 */
void ml_process_set_held(struct ml_process *process, bool is_held);
bool ml_process_is_held(const struct ml_process *process);
/** Reads comm, exe and status again: after an exec. */
struct ml_error *ml_process_refresh(struct ml_process *process);

/** The maps of now. */
struct ml_error *ml_process_maps(const struct ml_process *process, struct ml_maps *out);

/**
 * Opens the file behind @p mapping for reading: by /proc/PID/map_files (the very inode, whatever
 * the namespace, also deleted; needs CAP_CHECKPOINT_RESTORE), else by path inside the process's
 * root, checked to have the same inode number. The device is not compared: stat() and maps name
 * different ones for a file on overlayfs or btrfs.
 * @p fd is the caller's. The vDSO and other memory without a file are ML_ERROR_UNSUPPORTED.
 */
struct ml_error *ml_process_open_mapping(const struct ml_process *process,
					 const struct ml_mapping *mapping, int *fd);

/**
 * Opens @p path inside the process's root (ml_rooted_open(): no symlink leads out of it;
 * only regular files are opened). @p fd is the caller's.
 */
struct ml_error *ml_process_open_file(const struct ml_process *process, const char *path, int *fd);

/**
 * The same, of files only that the process itself may read: for what is passed on to others, when
 * the name comes from the process and we may read more than it (root).
 */
struct ml_error *ml_process_open_readable(const struct ml_process *process, const char *path,
					  int *fd);

/** Reads @p size bytes of its memory; false on any fault. */
bool ml_process_read(const struct ml_process *process, uint64_t address, void *buffer, size_t size);

/** Writes its memory, also what it cannot write itself (a private copy is made of a file's pages).
 */
bool ml_process_write(const struct ml_process *process, uint64_t address, const void *buffer,
		      size_t size);

#endif

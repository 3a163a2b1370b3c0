/* SPDX-License-Identifier: BSD-2-Clause */
#include "target/process.h"

#include "base/file.h"
#include "base/strbuf.h"
#include "target/container.h"
#include "target/proc.h"
#include "target/process_private.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static struct ml_error *no_process(pid_t pid)
{
	return ml_error_new(ML_ERROR_TARGET, "no process with pid %d", pid);
}

/* Takes @p error over when it says that the process is gone. */
static struct ml_error *gone_or(struct ml_error *error, pid_t pid)
{
	int code = ml_error_code(error);

	if (code != ESRCH && code != ENOENT)
		return ml_error_wrap(error, "process %d", pid);
	ml_error_free(error);
	return no_process(pid);
}

/* "1234 (comm)", comm escaped; the caller's to free. */
static char *label_of(const struct ml_process *process)
{
	struct ml_strbuf label = {0};

	ml_strbuf_printf(&label, "%d (", process->pid);
	ml_strbuf_escaped(&label, process->comm ? process->comm : "?");
	ml_strbuf_putc(&label, ')');
	return ml_strbuf_take(&label);
}

static struct ml_error *read_proc(const struct ml_process *process, const char *name, char **text)
{
	struct ml_error *error = ml_file_read(process->proc_fd, name, ML_PROC_TEXT_MAX, text, NULL);

	return error ? gone_or(error, process->pid) : NULL;
}

/* The target of the link @p name in /proc/PID, "" when it cannot be read. */
static char *read_link(const struct ml_process *process, const char *name)
{
	char target[PATH_MAX];
	ssize_t length = readlinkat(process->proc_fd, name, target, sizeof(target) - 1);

	target[length < 0 ? 0 : length] = '\0';
	return ml_strdup(target);
}

static void set_text(char **field, char *text)
{
	free(*field);
	*field = text;
}

struct ml_error *ml_process_refresh(struct ml_process *process)
{
	ML_FREE_CLEANUP char *status = NULL;
	ML_FREE_CLEANUP char *cgroups = NULL;
	char *comm;
	struct ml_error *error = read_proc(process, "status", &status);

	if (error)
		return error;
	error = read_proc(process, "comm", &comm);
	if (error)
		return error;

	size_t length = strlen(comm);

	if (length && comm[length - 1] == '\n')
		comm[length - 1] = '\0';
	set_text(&process->comm, comm);
	set_text(&process->exe, read_link(process, "exe"));
	process->inner_pid = (pid_t)ml_proc_status_number(status, "NSpid:", -1, process->pid);
	process->tracer = (pid_t)ml_proc_status_number(status, "TracerPid:", 0, 0);
	process->uid = (uid_t)ml_proc_status_number(status, "Uid:", 3, -1);
	process->gid = (gid_t)ml_proc_status_number(status, "Gid:", 3, -1);
	process->seccomp = (int)ml_proc_status_number(status, "Seccomp:", 0, 0);

	/* A kernel without control groups has no such file; then there are no containers. */
	ML_ERROR_CLEANUP struct ml_error *no_cgroups =
		ml_file_read(process->proc_fd, "cgroup", ML_PROC_TEXT_MAX, &cgroups, NULL);

	set_text(&process->container, no_cgroups ? NULL : ml_container_name(cgroups));
	return NULL;
}

static long pid_max(void)
{
	ML_FREE_CLEANUP char *text = NULL;
	ML_ERROR_CLEANUP struct ml_error *error =
		ml_file_read(AT_FDCWD, "/proc/sys/kernel/pid_max", 64, &text, NULL);

	return error ? INT_MAX : strtol(text, NULL, 10);
}

static struct ml_error *open_proc(pid_t pid, int *proc_fd)
{
	char path[32];

	if (pid <= 0 || pid > pid_max())
		return ml_error_new(ML_ERROR_TARGET,
				    "no process with pid %d: pids go from 1 to %ld here", pid,
				    pid_max());
	snprintf(path, sizeof(path), "/proc/%d", pid);
	*proc_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (*proc_fd >= 0)
		return NULL;
	if (errno != ENOENT)
		return ml_error_errno(errno, "cannot open %s", path);
	if (access("/proc/self/stat", F_OK))
		return ml_error_new(ML_ERROR_SYSTEM,
				    "/proc is not mounted: mount -t proc proc /proc");
	if (kill(pid, 0) && errno == ESRCH)
		return no_process(pid);
	return ml_error_new(ML_ERROR_TARGET,
			    "process %d is hidden from this user (/proc is mounted with "
			    "hidepid): run as root (sudo) or as its user",
			    pid);
}

/* Turns a thread's /proc folder into its process's. */
static struct ml_error *resolve_thread(struct ml_process *process)
{
	ML_FREE_CLEANUP char *status = NULL;
	struct ml_error *error = read_proc(process, "status", &status);

	if (error)
		return error;

	pid_t tgid = (pid_t)ml_proc_status_number(status, "Tgid:", 0, process->pid);

	if (tgid == process->pid)
		return NULL;
	ml_fd_close(&process->proc_fd);
	process->pid = tgid;
	return open_proc(tgid, &process->proc_fd);
}

static struct ml_error *open_pidfd(struct ml_process *process)
{
	process->pidfd = (int)syscall(SYS_pidfd_open, process->pid, 0);
	if (process->pidfd >= 0 || errno == ENOSYS)
		return NULL;
	return gone_or(ml_error_errno(errno, "pidfd_open"), process->pid);
}

static struct ml_error *read_stat(const struct ml_process *process, struct ml_proc_stat *stat)
{
	ML_FREE_CLEANUP char *text = NULL;
	struct ml_error *error = read_proc(process, "stat", &text);

	if (error)
		return error;
	if (!ml_proc_stat_parse(text, stat))
		return ml_error_new(ML_ERROR_FORMAT, "/proc/%d/stat is not understood",
				    process->pid);
	return NULL;
}

static struct ml_error *explain_zombie(const struct ml_process *process,
				       const struct ml_proc_stat *stat, const char *label)
{
	ML_FREE_CLEANUP char *status = NULL;
	struct ml_error *error;

	if (stat->threads > 1)
		return ml_error_new(ML_ERROR_TARGET,
				    "the main thread of process %s has ended while other threads "
				    "(%ld) run on: Linux shows no memory map of such a process",
				    label, stat->threads - 1);
	error = read_proc(process, "status", &status);
	if (error)
		return error;
	return ml_error_new(ML_ERROR_TARGET,
			    "process %s is a zombie: it has ended and waits for its parent, "
			    "process %ld, to take notice",
			    label, ml_proc_status_number(status, "PPid:", 0, 0));
}

static struct ml_error *check_state(const struct ml_process *process,
				    const struct ml_proc_stat *stat)
{
	ML_FREE_CLEANUP char *label = label_of(process);

	if (stat->is_kernel)
		return ml_error_new(ML_ERROR_TARGET,
				    "process %s is a kernel thread and has no memory of its own: "
				    "leave the pid out to trace the kernel's allocators",
				    label);
	if (stat->state == 'Z')
		return explain_zombie(process, stat, label);
	if (stat->state == 'X' || stat->state == 'x')
		return no_process(process->pid);
	return NULL;
}

static char *user_name(uid_t uid)
{
	const struct passwd *user = getpwuid(uid);
	struct ml_strbuf name = {0};

	if (user)
		ml_strbuf_printf(&name, "%s (uid %u)", user->pw_name, uid);
	else
		ml_strbuf_printf(&name, "uid %u", uid);
	return ml_strbuf_take(&name);
}

struct ml_error *ml_process_denied(const struct ml_process *process)
{
	ML_FREE_CLEANUP char *status = NULL;
	ML_FREE_CLEANUP char *label = label_of(process);
	struct ml_error *error = read_proc(process, "status", &status);

	if (error)
		return error;

	uid_t uid = (uid_t)ml_proc_status_number(status, "Uid:", 0, 0);
	ML_FREE_CLEANUP char *owner = user_name(uid);

	if (geteuid() == 0)
		return ml_error_new(ML_ERROR_TARGET,
				    "not permitted to look at process %s of user %s although this "
				    "is root: CAP_SYS_PTRACE is missing (in a container: start it "
				    "with --cap-add SYS_PTRACE) or a security module forbids it",
				    label, owner);
	if (geteuid() == uid)
		return ml_error_new(ML_ERROR_TARGET,
				    "not permitted to look at process %s although it is this "
				    "user's: it has privileges or protects itself; run as root "
				    "(sudo)",
				    label);
	return ml_error_new(ML_ERROR_TARGET,
			    "not permitted to look at process %s: it belongs to user %s; run as "
			    "root (sudo) or as that user",
			    label, owner);
}

/* Opening maps asks for the same right (PTRACE_MODE_READ) as all that comes later. */
static struct ml_error *check_permission(const struct ml_process *process)
{
	ML_FD_CLEANUP int maps = openat(process->proc_fd, "maps", O_RDONLY | O_CLOEXEC);

	if (maps >= 0)
		return NULL;
	if (errno == EACCES || errno == EPERM)
		return ml_process_denied(process);
	return gone_or(ml_error_errno(errno, "cannot open its memory map"), process->pid);
}

static struct ml_error *check_class(const struct ml_process *process)
{
	/* A program that its user may run but not read is given the benefit of the doubt. */
	ML_FD_CLEANUP int exe = openat(process->proc_fd, "exe", O_RDONLY | O_CLOEXEC);
	unsigned char ident[EI_NIDENT];

	if (exe < 0 || pread(exe, ident, sizeof(ident), 0) != (ssize_t)sizeof(ident) ||
	    memcmp(ident, ELFMAG, SELFMAG) || ident[EI_CLASS] != ELFCLASS32)
		return NULL;

	ML_FREE_CLEANUP char *label = label_of(process);

	return ml_error_new(ML_ERROR_TARGET,
			    "process %s runs a 32-bit program: only 64-bit programs can be traced",
			    label);
}

static struct ml_error *open_all(struct ml_process *process)
{
	struct ml_proc_stat stat;
	struct ml_error *error = open_proc(process->pid, &process->proc_fd);

	if (!error)
		error = resolve_thread(process);
	if (!error)
		error = open_pidfd(process);
	/*
	 * From here on the pidfd and the folder are known to be of one process: the folder of an
	 * earlier one would be dead by now, and reading it fails.
	 */
	if (!error)
		error = ml_process_refresh(process);
	if (!error)
		error = read_stat(process, &stat);
	if (error)
		return error;
	process->start_time = stat.start_time;
	error = check_state(process, &stat);
	if (!error)
		error = check_permission(process);
	if (!error)
		error = check_class(process);
	if (!error) {
		process->root_fd =
			openat(process->proc_fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
		set_text(&process->root, read_link(process, "root"));
	}
	return error;
}

struct ml_error *ml_process_open(pid_t pid, struct ml_process **out)
{
	struct ml_process *process = ml_alloc(sizeof(*process));

	*process = (struct ml_process){.pid = pid, .proc_fd = -1, .root_fd = -1, .pidfd = -1};

	struct ml_error *error = open_all(process);

	if (error)
		ml_process_close(process);
	else
		*out = process;
	return error;
}

void ml_process_close(struct ml_process *process)
{
	if (!process)
		return;
	ml_fd_close(&process->proc_fd);
	ml_fd_close(&process->root_fd);
	ml_fd_close(&process->pidfd);
	free(process->root);
	free(process->comm);
	free(process->exe);
	free(process->container);
	free(process);
}

bool ml_process_is_alive(const struct ml_process *process)
{
	struct ml_proc_stat stat;

	if (process->pidfd >= 0) {
		struct pollfd end = {.fd = process->pidfd, .events = POLLIN};

		return poll(&end, 1, 0) == 0;
	}

	ML_ERROR_CLEANUP struct ml_error *error = read_stat(process, &stat);

	return !error && stat.start_time == process->start_time && !strchr("ZXx", stat.state);
}

bool ml_process_read(const struct ml_process *process, uint64_t address, void *buffer, size_t size)
{
	struct iovec local = {.iov_base = buffer, .iov_len = size};
	struct iovec remote = {.iov_base = (void *)(uintptr_t)address, .iov_len = size};
	ssize_t got = process_vm_readv(process->pid, &local, 1, &remote, 1, 0);

	if (got >= 0 || (errno != EPERM && errno != ENOSYS))
		return got == (ssize_t)size;

	/* A container's seccomp filter may forbid the call and still leave /proc/PID/mem. */
	ML_FD_CLEANUP int mem = openat(process->proc_fd, "mem", O_RDONLY | O_CLOEXEC);

	return mem >= 0 && pread(mem, buffer, size, (off_t)address) == (ssize_t)size;
}

bool ml_process_write(const struct ml_process *process, uint64_t address, const void *buffer,
		      size_t size)
{
	ML_FD_CLEANUP int mem = openat(process->proc_fd, "mem", O_RDWR | O_CLOEXEC);

	return mem >= 0 && pwrite(mem, buffer, size, (off_t)address) == (ssize_t)size;
}

struct ml_error *ml_process_maps(const struct ml_process *process, struct ml_maps *out)
{
	return ml_maps_read_at(process->proc_fd, process->pid, out);
}

pid_t ml_process_pid(const struct ml_process *process)
{
	return process->pid;
}

int ml_process_pidfd(const struct ml_process *process)
{
	return process->pidfd;
}

uint64_t ml_process_start_time(const struct ml_process *process)
{
	return process->start_time;
}

const char *ml_process_comm(const struct ml_process *process)
{
	return process->comm;
}

const char *ml_process_exe(const struct ml_process *process)
{
	return process->exe;
}

pid_t ml_process_inner_pid(const struct ml_process *process)
{
	return process->inner_pid;
}

const char *ml_process_container(const struct ml_process *process)
{
	return process->container;
}

int ml_process_seccomp(const struct ml_process *process)
{
	return process->seccomp;
}

void ml_process_set_held(struct ml_process *process, bool is_held)
{
	process->is_held = is_held;
}

bool ml_process_is_held(const struct ml_process *process)
{
	return process->is_held;
}

pid_t ml_process_tracer(const struct ml_process *process)
{
	return process->tracer;
}

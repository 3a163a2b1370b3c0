/* SPDX-License-Identifier: BSD-2-Clause */
/** The memory file that the agent and the tool share. */
#include "base/file.h"
#include "base/human.h"
#include "base/strbuf.h"
#include "inject/injection_private.h"
#include "target/memory_limit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What must be free where the memory is a file: a target that finds no room there gets SIGBUS. */
#define ROOM_BYTES          (256u << 20)

#define MEMFD_CLOEXEC       1u
#define MEMFD_ALLOW_SEALING 2u
#define MEMFD_NOEXEC_SEAL   8u /* allows it, too */
#define DESCRIPTORS_MORE    1024u

bool ml_memory_has_room(int fd, uint64_t bytes)
{
	struct statfs file_system;

	/* Without blocks there is no limit: the kernel's own tmpfs. */
	return fstatfs(fd, &file_system) || !file_system.f_blocks ||
	       (uint64_t)file_system.f_bavail * (uint64_t)file_system.f_bsize >= bytes;
}

/* Memory without a name looks like that of anybody else: only its contents tell. */
static bool has_magic(const struct ml_process *process, const struct ml_mapping *mapping)
{
	uint64_t magic;

	return ml_process_read(process, mapping->start, &magic, sizeof(magic)) &&
	       magic == ML_AGENT_MAGIC;
}

/* "/memfd:memleak-agent", or a file of a kernel without memfd_create(). */
static bool is_name(const char *path, bool is_deleted)
{
	const char *name = strrchr(path, '/');

	return name && (!strncmp(name, "/memfd:" ML_AGENT_MEMORY_NAME,
				 strlen("/memfd:" ML_AGENT_MEMORY_NAME)) ||
			(is_deleted && !strncmp(name, "/" ML_AGENT_MEMORY_NAME "-",
						strlen("/" ML_AGENT_MEMORY_NAME "-"))));
}

bool ml_memory_is(const struct ml_process *process, const struct ml_mapping *mapping)
{
	return mapping->is_shared && (is_name(mapping->path, mapping->is_deleted) ||
				      (mapping->is_deleted && !strcmp(mapping->path, "/dev/zero") &&
				       has_magic(process, mapping)));
}

int ml_memory_descriptor(const struct ml_process *process)
{
	char path[32], target[128];
	int found = -1;
	DIR *folder;

	snprintf(path, sizeof(path), "/proc/%d/fd", ml_process_pid(process));
	folder = opendir(path);
	for (struct dirent *entry; folder && found < 0 && (entry = readdir(folder));) {
		ssize_t size = readlinkat(dirfd(folder), entry->d_name, target, sizeof(target) - 1);

		if (size <= 0)
			continue;
		target[size] = 0;
		if (is_name(target, strstr(target, " (deleted)") != NULL))
			found = atoi(entry->d_name);
	}
	if (folder)
		closedir(folder);
	return found;
}

struct ml_error *ml_descriptor_send(int socket, int fd)
{
	char byte = 0, control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec part = {&byte, 1};
	struct msghdr message = {.msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof(control)};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	if (sendmsg(socket, &message, MSG_NOSIGNAL) != 1)
		return ml_error_errno(errno, "cannot pass the agent's memory on");
	return NULL;
}

int ml_descriptor_receive(int socket)
{
	char byte, control[CMSG_SPACE(sizeof(int))];
	struct iovec part = {&byte, 1};
	struct msghdr message = {.msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof(control)};
	int fd = -1;

	if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) == 1 &&
	    CMSG_FIRSTHDR(&message))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
	return fd;
}

/* What is being made. */
struct making {
	struct ml_step *step;
	uint64_t scratch; /* memory of the target that may be written */
	size_t size;
	uint64_t address;
	int fd;
	struct ml_strbuf *reasons; /* why it cannot be where it was tried */
};

static struct ml_error *write_scratch(const struct making *making, const char *text)
{
	if (ml_stop_write(&making->step->stop, making->scratch, text, strlen(text) + 1))
		return NULL;
	return ml_error_errno(errno, "cannot write into process %d", making->step->pid);
}

struct ml_error *ml_injection_check_room(pid_t pid, size_t size)
{
	char needed[ML_HUMAN_TEXT], used[ML_HUMAN_TEXT], allowed[ML_HUMAN_TEXT];
	struct ml_memory_limit limit;

	ml_memory_limit_address(pid, &limit);
	if (limit.kind == ML_LIMIT_NONE || limit.used_bytes + 2 * size <= limit.limit_bytes)
		return NULL;
	return ml_error_new(ML_ERROR_UNSUPPORTED,
			    "process %d may use %s of addresses (RLIMIT_AS) and uses %s; the "
			    "agent's tables need %s of them (far less memory), and as much is to "
			    "be left to it: raise the limit (prlimit --pid %d --as=unlimited), or "
			    "use --backend bpf",
			    pid, ml_human_bytes((double)limit.limit_bytes, allowed),
			    ml_human_bytes((double)limit.used_bytes, used),
			    ml_human_bytes((double)size, needed), pid);
}

static struct ml_error *explain_locked(struct ml_error *error, const struct ml_step *step)
{
	if (!error || ml_error_code(error) != EAGAIN)
		return error;
	ml_error_free(error);
	return ml_error_new(ML_ERROR_UNSUPPORTED,
			    "process %d locks all memory it maps (mlockall) and may lock no more "
			    "(RLIMIT_MEMLOCK): raise the limit (prlimit --pid %d "
			    "--memlock=unlimited), or use --backend bpf",
			    step->pid, step->pid);
}

/*
 * A process that called mlockall(MCL_FUTURE) would get every page of the tables at once: they come
 * without access, when there is nothing to be filled in (check_vma_flags() in mm/gup.c), are
 * unlocked, and can be used only then.
 */
static struct ml_error *map_tables(struct making *making, int flags, int fd)
{
	struct ml_step *step = making->step;
	struct ml_error *error = explain_locked(
		ml_step_mmap(step, 0, making->size, PROT_NONE, flags, fd, &making->address), step);
	int64_t result;

	if (error)
		return error;

	const uint64_t unlock[6] = {making->address, making->size};
	const uint64_t protect[6] = {making->address, making->size, PROT_READ | PROT_WRITE};

	ml_error_free(ml_step_call(step, "munlock", SYS_munlock, unlock, &result));
	return ml_step_call(step, "mprotect", SYS_mprotect, protect, &result);
}

struct ml_error *ml_memory_open(const struct ml_step *step, const char *path, int *fd)
{
	ML_FD_CLEANUP int found = open(path, O_PATH | O_CLOEXEC);
	char self[48];
	struct stat file;

	if (found < 0 || fstat(found, &file))
		return ml_error_errno(errno, "cannot open %s", path);
	if (!S_ISREG(file.st_mode) || file.st_nlink)
		return ml_error_new(ML_ERROR_TARGET,
				    "process %d has put another file in the place of the agent's "
				    "memory",
				    step->pid);
	snprintf(self, sizeof(self), "/proc/self/fd/%d", found);
	*fd = open(self, O_RDWR | O_CLOEXEC);
	return *fd < 0 ? ml_error_errno(errno, "cannot open %s", path) : NULL;
}

/* Another thread of the target may have kept the file, and we would die of SIGBUS should it become
 * shorter: a memory file of the kernel's can be kept from that. */
static struct ml_error *set_size(const struct making *making, int fd)
{
	struct stat file;

	if (ftruncate(fd, (off_t)making->size))
		return ml_error_errno(errno, "cannot size the agent's memory in process %d",
				      making->step->pid);
	fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	if (!fstat(fd, &file) && file.st_size == (off_t)making->size)
		return NULL;
	return ml_error_new(ML_ERROR_TARGET,
			    "process %d has changed the size of the agent's memory",
			    making->step->pid);
}

/* Takes over what the target has opened as @remote, and closes it there. */
static struct ml_error *map_file(struct making *making, int64_t remote, bool needs_room)
{
	struct ml_step *step = making->step;
	ML_FD_CLEANUP int fd = -1;
	char path[64];
	struct ml_error *error;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", step->pid, (int)remote);
	error = ml_memory_open(step, path, &fd);
	if (!error && needs_room && !ml_memory_has_room(fd, ROOM_BYTES))
		error = ml_error_new(ML_ERROR_UNSUPPORTED, "less than %u MiB are free there",
				     ROOM_BYTES >> 20);
	if (!error)
		error = set_size(making, fd);
	if (!error)
		error = map_tables(making, MAP_SHARED | MAP_NORESERVE, (int)remote);
	ml_step_close(step, remote);
	if (error)
		return error;
	making->fd = fd;
	fd = -1;
	return NULL;
}

static struct ml_error *create(struct ml_step *step, uint64_t name, int64_t *remote)
{
	/* vm.memfd_noexec may ask for the second flag (Linux 6.3); older kernels refuse it. */
	const uint64_t arguments[6] = {name, MEMFD_CLOEXEC | MEMFD_NOEXEC_SEAL};
	const uint64_t older[6] = {name, MEMFD_CLOEXEC | MEMFD_ALLOW_SEALING};
	struct ml_error *error = ml_step_call(step, "memfd_create() (Linux 3.17)", SYS_memfd_create,
					      arguments, remote);

	if (!error || ml_error_code(error) != EINVAL)
		return error;
	ml_error_free(error);
	return ml_step_call(step, "memfd_create() (Linux 3.17)", SYS_memfd_create, older, remote);
}

/* When all its numbers are used, one more is allowed for as long as it takes. */
static struct ml_error *create_beyond_limit(struct ml_step *step, uint64_t name, int64_t *remote)
{
	struct rlimit limits = {0}, more;
	struct ml_error *error;

	prlimit(step->pid, RLIMIT_NOFILE, NULL, &limits);
	more.rlim_cur = limits.rlim_cur + DESCRIPTORS_MORE;
	more.rlim_max = limits.rlim_max > more.rlim_cur ? limits.rlim_max : more.rlim_cur;
	if (prlimit(step->pid, RLIMIT_NOFILE, &more, NULL))
		return ml_error_new(ML_ERROR_TARGET,
				    "process %d has as many files open as it may (RLIMIT_NOFILE: "
				    "%llu), and the agent needs one more for a moment: raise the "
				    "limit (prlimit --pid %d --nofile=...), or use --backend bpf",
				    step->pid, (unsigned long long)limits.rlim_cur, step->pid);
	error = create(step, name, remote);
	prlimit(step->pid, RLIMIT_NOFILE, &limits, NULL);
	return error;
}

struct ml_error *ml_memory_create(struct ml_step *step, uint64_t scratch, const char *name,
				  int64_t *remote)
{
	const uint64_t nothing[8] = {0};
	size_t size = strlen(name) + 1;
	struct ml_error *error;

	if (!ml_stop_write(&step->stop, scratch, name, size))
		return ml_error_errno(errno, "cannot write into process %d", step->pid);
	error = create(step, scratch, remote);
	if (error && ml_error_code(error) == EMFILE) {
		ml_error_free(error);
		error = create_beyond_limit(step, scratch, remote);
	}
	ml_stop_write(&step->stop, scratch, nothing, size);
	return error;
}

static struct ml_error *make_memfd(struct making *making)
{
	int64_t remote = -1;
	struct ml_error *error =
		ml_memory_create(making->step, making->scratch, ML_AGENT_MEMORY_NAME, &remote);

	return error ? error : map_file(making, remote, false);
}

/* Memory that the target shares with its children; whoever may open /proc/PID/map_files (root)
 * shares it too. */
static struct ml_error *make_anonymous(struct making *making)
{
	struct ml_step *step = making->step;
	char path[96];
	struct ml_error *error = map_tables(making, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1);

	if (error)
		return error;
	snprintf(path, sizeof(path), "/proc/%d/map_files/%llx-%llx", step->pid,
		 (unsigned long long)making->address,
		 (unsigned long long)(making->address + making->size));
	error = ml_memory_open(step, path, &making->fd);
	if (!error)
		return NULL;
	error = ml_error_wrap(error, "needs root and CONFIG_CHECKPOINT_RESTORE");
	ml_step_munmap(step, making->address, making->size);
	return error;
}

/* A file in a folder of the target's, without a name as soon as it is open. */
static struct ml_error *make_file(struct making *making, const char *folder)
{
	char path[64];
	const uint64_t open_arguments[6] = {
		making->scratch, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600};
	const uint64_t unlink_arguments[6] = {making->scratch};
	int64_t remote, result;
	struct ml_error *error, *unlinked;

	snprintf(path, sizeof(path), "%s/" ML_AGENT_MEMORY_NAME "-%d", folder, (int)getpid());
	error = write_scratch(making, path);
	if (!error)
		error = ml_step_call(making->step, path, SYS_open, open_arguments, &remote);
	if (error)
		return error;
	unlinked = ml_step_call(making->step, path, SYS_unlink, unlink_arguments, &result);
	error = map_file(making, remote, true);
	if (error) {
		ml_error_free(unlinked);
		return error;
	}
	return unlinked;
}

/* What a kernel before 3.17 or a filter without memfd_create() leaves. */
static struct ml_error *make_otherwise(struct making *making)
{
	static const char *const folders[] = {"/dev/shm", "/run/shm", "/tmp", "/var/tmp"};
	struct ml_error *error = make_anonymous(making);

	for (size_t i = 0; error && i < sizeof(folders) / sizeof(*folders); i++) {
		ml_strbuf_printf(making->reasons, "; %s", ml_error_message(error));
		ml_error_free(error);
		error = make_file(making, folders[i]);
	}
	return error;
}

static bool is_refused(const struct ml_error *error)
{
	int err = ml_error_code(error);

	/* EFBIG: our own limit of file sizes. */
	return err == ENOSYS || err == EPERM || err == EACCES || err == EFBIG;
}

static struct ml_error *make(struct making *making)
{
	ML_STRBUF_CLEANUP struct ml_strbuf reasons = {0};
	struct ml_error *error = make_memfd(making);

	if (!error || !is_refused(error))
		return error;
	ml_strbuf_puts(&reasons, ml_error_message(error));
	ml_error_free(error);
	making->reasons = &reasons;
	error = make_otherwise(making);
	if (!error)
		return NULL;
	ml_strbuf_printf(&reasons, "; %s", ml_error_message(error));
	ml_error_free(error);
	return ml_error_new(ML_ERROR_UNSUPPORTED, "no memory can be shared with process %d: %s",
			    making->step->pid, ml_strbuf_text(&reasons));
}

struct ml_error *ml_memory_make(struct ml_step *step, uint64_t scratch, size_t size,
				uint64_t *address, int *fd)
{
	const uint64_t nothing[8] = {0};
	struct making making = {.step = step, .scratch = scratch, .size = size, .fd = -1};
	struct ml_error *error = make(&making);
	int64_t result;

	*address = making.address;
	*fd = making.fd;
	if (error)
		return error;

	const uint64_t fork_arguments[6] = {*address, size, MADV_DONTFORK};
	const uint64_t dump_arguments[6] = {*address, size, MADV_DONTDUMP};

	error = ml_step_call(step, "madvise", SYS_madvise, fork_arguments, &result);
	/* Since Linux 3.4; a core file with the books in it is only large. */
	if (!error)
		ml_error_free(ml_step_call(step, "madvise", SYS_madvise, dump_arguments, &result));
	if (!error && !ml_stop_write(&step->stop, scratch, nothing, sizeof(nothing)))
		error = ml_error_errno(errno, "cannot write into process %d", step->pid);
	return error;
}

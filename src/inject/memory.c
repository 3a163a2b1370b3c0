/* SPDX-License-Identifier: BSD-2-Clause */
/** The memory file that the agent and the tool share. */
#include "base/file.h"
#include "inject/injection_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

bool ml_memory_is(const struct ml_mapping *mapping)
{
	const char *name = strrchr(mapping->path, '/');

	/* "/memfd:memleak-agent", or a file of a kernel without memfd_create(). */
	return name && mapping->is_shared &&
	       (!strncmp(name, "/memfd:" ML_AGENT_MEMORY_NAME,
			 strlen("/memfd:" ML_AGENT_MEMORY_NAME)) ||
		(mapping->is_deleted && !strncmp(name, "/" ML_AGENT_MEMORY_NAME "-",
						 strlen("/" ML_AGENT_MEMORY_NAME "-"))));
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

/* A file in a folder of the target's, without a name as soon as it is open: what kernels before
 * 3.17 or a filter without memfd_create() leave. */
static struct ml_error *make_file(struct ml_step *step, uint64_t scratch, const char *folder,
				  int64_t *remote)
{
	char path[64];
	int size = snprintf(path, sizeof(path), "%s/" ML_AGENT_MEMORY_NAME "-%d", folder,
			    (int)getpid());
	const uint64_t open_arguments[6] = {
		scratch, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600};
	const uint64_t unlink_arguments[6] = {scratch};
	int64_t result;
	struct ml_error *error;

	if (!ml_stop_write(&step->stop, scratch, path, (size_t)size + 1))
		return ml_error_errno(errno, "cannot write into process %d", step->pid);
	error = ml_step_call(step, "making a file in /dev/shm or /tmp", SYS_open, open_arguments,
			     remote);
	return error ? error : ml_step_call(step, "unlink", SYS_unlink, unlink_arguments, &result);
}

static struct ml_error *make_descriptor(struct ml_step *step, uint64_t scratch, int64_t *remote)
{
	const uint64_t arguments[6] = {scratch, 1 /* MFD_CLOEXEC */};
	struct ml_error *error;

	if (!ml_stop_write(&step->stop, scratch, ML_AGENT_MEMORY_NAME,
			   sizeof(ML_AGENT_MEMORY_NAME)))
		return ml_error_errno(errno, "cannot write into process %d", step->pid);
	error = ml_step_call(step, "memfd_create", SYS_memfd_create, arguments, remote);
	if (!error || (ml_error_code(error) != ENOSYS && ml_error_code(error) != EPERM))
		return error;
	ml_error_free(error);
	error = make_file(step, scratch, "/dev/shm", remote);
	if (!error)
		return NULL;
	ml_error_free(error);
	return make_file(step, scratch, "/tmp", remote);
}

static struct ml_error *map_file(struct ml_step *step, int remote, size_t size, uint64_t *address,
				 int *out)
{
	ML_FD_CLEANUP int fd = -1;
	char path[64];
	struct ml_error *error;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", step->pid, remote);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 || ftruncate(fd, (off_t)size))
		return ml_error_errno(errno, "cannot size the agent's memory in process %d",
				      step->pid);
	error = ml_step_mmap(step, 0, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
			     remote, address);
	if (error)
		return error;
	*out = fd;
	fd = -1;
	return NULL;
}

struct ml_error *ml_memory_make(struct ml_step *step, uint64_t scratch, size_t size,
				uint64_t *address, int *fd)
{
	const uint64_t nothing[8] = {0};
	int64_t remote = -1, result;
	struct ml_error *error = make_descriptor(step, scratch, &remote);

	if (error)
		return error;
	error = map_file(step, (int)remote, size, address, fd);

	const uint64_t close_arguments[6] = {(uint64_t)remote};
	const uint64_t fork_arguments[6] = {*address, size, MADV_DONTFORK};
	const uint64_t dump_arguments[6] = {*address, size, MADV_DONTDUMP};
	struct ml_error *closed = ml_step_call(step, "close", SYS_close, close_arguments, &result);

	if (!error)
		error = closed;
	else
		ml_error_free(closed);
	if (!error)
		error = ml_step_call(step, "madvise", SYS_madvise, fork_arguments, &result);
	/* Since Linux 3.4; a core file with the books in it is only large. */
	if (!error)
		ml_error_free(ml_step_call(step, "madvise", SYS_madvise, dump_arguments, &result));
	if (!error && !ml_stop_write(&step->stop, scratch, nothing, sizeof(nothing)))
		error = ml_error_errno(errno, "cannot write into process %d", step->pid);
	return error;
}

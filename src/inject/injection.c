/* SPDX-License-Identifier: BSD-2-Clause */
/** Mapping the agent into a process, with one thread stopped for a moment. */
#include "inject/injection.h"

#include "base/file.h"
#include "inject/agent_image.h"
#include "inject/injection_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOWEST_ADDRESS 0x10000ull
#define GAP            0x10000ull
#define PLACES         64

struct mapping_step {
	pid_t pid;
	const struct ml_injection_function *functions;
	size_t count;
	size_t size;
	int socket; /* the memory's descriptor goes through it */
	struct ml_stop stop;
	uint64_t instruction;
	struct ml_agent_header header;
};

static struct ml_error *call(struct mapping_step *step, const char *what, long number, uint64_t a,
			     uint64_t b, uint64_t c, uint64_t d, uint64_t e, int64_t *result)
{
	const uint64_t arguments[6] = {a, b, c, d, e, 0};
	struct ml_error *error =
		ml_stop_syscall(&step->stop, step->instruction, number, arguments, result);

	if (!error && *result < 0 && *result > -4096)
		error = ml_error_errno((int)-*result, "%s in process %d", what, step->pid);
	return error;
}

static struct ml_error *map_memory(struct mapping_step *step, uint64_t hint, size_t size,
				   int protection, int flags, int fd, uint64_t *out)
{
	int64_t result = 0;
	struct ml_error *error = call(step, "mapping memory", SYS_mmap, hint, size,
				      (uint64_t)protection, (uint64_t)flags, (uint64_t)fd, &result);

	if (!error)
		*out = (uint64_t)result;
	return error;
}

/* Code that is never writable, and behind it one page that is never executable. */
static struct ml_error *map_image(struct mapping_step *step)
{
	struct ml_agent_header *header = &step->header;
	size_t size;
	const struct ml_agent_image_header *image = ml_agent_image(&size);
	int64_t result;
	struct ml_error *error;

	header->image.size = image->data + ML_AGENT_PAGE;
	error = map_memory(step, 0, header->image.size, PROT_READ | PROT_EXEC,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, &header->image.start);
	if (error)
		return error;
	header->pointer = header->image.start + image->data;
	header->returned = header->image.start + image->returned;
	error = call(step, "mprotect", SYS_mprotect, header->pointer, ML_AGENT_PAGE,
		     PROT_READ | PROT_WRITE, 0, 0, &result);
	/* A forked child must not find the memory, which it does not have. */
	if (!error)
		error = call(step, "madvise(MADV_WIPEONFORK) (Linux 4.14)", SYS_madvise,
			     header->pointer, ML_AGENT_PAGE, MADV_WIPEONFORK, 0, 0, &result);
	if (!error && !ml_stop_write(&step->stop, header->image.start, image, size))
		error = ml_error_errno(errno, "cannot write code into process %d", step->pid);
	return error;
}

static struct ml_error *send_descriptor(int socket, int fd)
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

static int receive_descriptor(int socket)
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

/* The memory file is the target's, opened by us through its descriptor and closed there. */
static struct ml_error *map_tables(struct mapping_step *step)
{
	struct ml_agent_header *header = &step->header;
	int64_t remote = -1, result;
	ML_FD_CLEANUP int fd = -1;
	char path[64];
	struct ml_error *error;

	if (!ml_stop_write(&step->stop, header->pointer, ML_AGENT_MEMORY_NAME,
			   sizeof(ML_AGENT_MEMORY_NAME)))
		return ml_error_errno(errno, "cannot write into process %d", step->pid);
	error = call(step, "memfd_create", SYS_memfd_create, header->pointer, 1 /* MFD_CLOEXEC */,
		     0, 0, 0, &remote);
	if (error)
		return error;
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", step->pid, (int)remote);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 || ftruncate(fd, (off_t)step->size))
		error = ml_error_errno(errno, "cannot size the agent's memory in process %d",
				       step->pid);
	if (!error)
		error = map_memory(step, 0, step->size, PROT_READ | PROT_WRITE, MAP_SHARED,
				   (int)remote, &header->address);
	struct ml_error *closed =
		call(step, "close", SYS_close, (uint64_t)remote, 0, 0, 0, 0, &result);

	if (!error)
		error = closed;
	else
		ml_error_free(closed);
	if (!error)
		error = call(step, "madvise", SYS_madvise, header->address, step->size,
			     MADV_DONTFORK, 0, 0, &result);
	if (!error)
		error = call(step, "madvise", SYS_madvise, header->address, step->size,
			     MADV_DONTDUMP, 0, 0, &result);
	const uint64_t nothing[4] = {0};

	if (!error && !ml_stop_write(&step->stop, header->pointer, nothing, sizeof(nothing)))
		error = ml_error_errno(errno, "cannot write into process %d", step->pid);
	return error ? error : send_descriptor(step->socket, fd);
}

/* ---- islands ----------------------------------------------------------------------------------
 */

/* The free places of an island's size in reach of @address, those next to other mappings: not where
 * a stack or the heap grows to. */
static size_t places_near(pid_t pid, uint64_t address, uint64_t places[PLACES])
{
	struct ml_maps maps = {0};
	ML_ERROR_CLEANUP struct ml_error *error = ml_maps_read(pid, &maps);
	uint64_t low = LOWEST_ADDRESS;
	size_t count = 0;

	if (error)
		return 0;
	ml_array_each (mapping, &maps.list) {
		uint64_t room = ML_ISLAND_BYTES + 2 * GAP;

		if (mapping->start > low && mapping->start - low > room && count < PLACES &&
		    strncmp(mapping->path, "[stack", 6) != 0) {
			uint64_t place = mapping->start - ML_ISLAND_BYTES - GAP;

			if (ml_is_in_reach(place, address))
				places[count++] = place;
		}
		low = mapping->end > low ? mapping->end : low;
	}
	ml_maps_deinit(&maps);
	return count;
}

static struct ml_error *map_island(struct mapping_step *step, uint64_t near)
{
	struct ml_agent_header *header = &step->header;
	uint64_t places[PLACES], got = 0;
	size_t count = places_near(step->pid, near, places);

	if (header->island_count == ML_AGENT_ISLANDS)
		return ml_error_new(ML_ERROR_UNSUPPORTED, "too many modules allocate in process %d",
				    step->pid);
	while (count--) {
		ML_ERROR_CLEANUP struct ml_error *error =
			map_memory(step, places[count], ML_ISLAND_BYTES, PROT_READ | PROT_EXEC,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, &got);
		int64_t result;

		if (error)
			continue;
		if (got == places[count]) {
			header->islands[header->island_count++] =
				(struct ml_agent_range){got, ML_ISLAND_BYTES};
			return NULL;
		}
		/* Linux < 4.17 takes the address for a hint. */
		ml_error_free(
			call(step, "munmap", SYS_munmap, got, ML_ISLAND_BYTES, 0, 0, 0, &result));
	}
	return ml_error_new(ML_ERROR_UNSUPPORTED,
			    "no room for code near the allocation functions of process %d",
			    step->pid);
}

static struct ml_error *map_islands(struct mapping_step *step)
{
	struct ml_agent_header *header = &step->header;
	uint32_t used[ML_AGENT_ISLANDS] = {0};

	for (size_t i = 0; i < step->count; i++) {
		bool is_near = false;

		for (uint32_t k = 0; k < header->island_count && !is_near; k++) {
			is_near = used[k] < ML_ISLAND_SLOTS &&
				  ml_is_in_reach(header->islands[k].start,
						 step->functions[i].address);
			used[k] += is_near;
		}
		if (is_near)
			continue;

		struct ml_error *error = map_island(step, step->functions[i].address);

		if (error)
			return error;
		used[header->island_count - 1] = 1;
	}
	return NULL;
}

static void unmap_all(struct mapping_step *step)
{
	struct ml_agent_header *header = &step->header;
	int64_t result;

	for (uint32_t i = 0; i < header->island_count; i++)
		ml_error_free(call(step, "munmap", SYS_munmap, header->islands[i].start,
				   header->islands[i].size, 0, 0, 0, &result));
	if (header->address)
		ml_error_free(call(step, "munmap", SYS_munmap, header->address, step->size, 0, 0, 0,
				   &result));
	if (header->image.start)
		ml_error_free(call(step, "munmap", SYS_munmap, header->image.start,
				   header->image.size, 0, 0, 0, &result));
}

static bool is_memory(const struct ml_mapping *mapping)
{
	return !strncmp(mapping->path, "/memfd:" ML_AGENT_MEMORY_NAME,
			strlen("/memfd:" ML_AGENT_MEMORY_NAME));
}

/* Asked with the main thread stopped by us: nobody else can be attaching now. */
static struct ml_error *check_alone(pid_t pid)
{
	struct ml_maps maps = {0};
	struct ml_error *error = ml_maps_read(pid, &maps);

	ml_array_each (mapping, &maps.list)
		if (!error && is_memory(mapping))
			error = ml_error_new(ML_ERROR_TARGET,
					     "another memleak is attaching to process %d", pid);
	ml_maps_deinit(&maps);
	return error;
}

static struct ml_error *map_all(void *context)
{
	struct mapping_step *step = context;
	struct ml_error *error = ml_stop_begin(step->pid, true, &step->stop);

	if (error)
		return error;
	error = check_alone(step->pid);
	if (!error)
		error = map_image(step);
	if (!error)
		error = map_islands(step);
	if (!error)
		error = map_tables(step);
	if (!error &&
	    !ml_stop_write(&step->stop, step->header.address, &step->header, sizeof(step->header)))
		error = ml_error_errno(errno, "cannot write into process %d", step->pid);
	if (error)
		unmap_all(step);
	ml_stop_end(&step->stop);
	return error;
}

static struct ml_error *open_memory(int fd, size_t size, struct ml_injection *out)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (memory == MAP_FAILED)
		return ml_error_errno(errno, "cannot map the agent's memory");
	out->memory = memory;
	out->size = size;
	return NULL;
}

struct ml_error *ml_injection_map(const struct ml_process *process,
				  const struct ml_injection_function *functions, size_t count,
				  size_t size, struct ml_injection *out)
{
	int sockets[2];
	struct mapping_step step = {
		.pid = ml_process_pid(process),
		.functions = functions,
		.count = count,
		.size = size,
		.header = {.magic = ML_AGENT_MAGIC, .version = ML_AGENT_VERSION, .size = size},
	};
	struct ml_error *error;

	*out = (struct ml_injection){.pid = step.pid};
	step.instruction = ml_syscall_instruction(step.pid);
	if (!step.instruction)
		return ml_error_new(ML_ERROR_UNSUPPORTED, "process %d has no system call to borrow",
				    step.pid);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets))
		return ml_error_errno(errno, "cannot make a socket pair");
	step.socket = sockets[1];
	error = ml_step_run(map_all, &step);

	ML_FD_CLEANUP int fd = receive_descriptor(sockets[0]);

	close(sockets[0]);
	close(sockets[1]);
	return error ? error : open_memory(fd, size, out);
}

void ml_injection_close(struct ml_injection *injection)
{
	if (injection->memory)
		munmap(injection->memory, injection->size);
	injection->memory = NULL;
}

/* ---- what others left ----------------------------------------------------------------------- */

#define BEATS_MS 500

static bool is_at_work(const struct ml_agent_memory *memory)
{
	uint64_t before = __atomic_load_n(&memory->now_ns, __ATOMIC_RELAXED);

	for (int i = 0; i < BEATS_MS / 10; i++) {
		usleep(10000);
		if (__atomic_load_n(&memory->now_ns, __ATOMIC_RELAXED) != before)
			return true;
	}
	return false;
}

static struct ml_error *open_found(const struct ml_process *process,
				   const struct ml_mapping *mapping, struct ml_injection *out)
{
	size_t size = mapping->end - mapping->start;
	pid_t pid = ml_process_pid(process);
	struct ml_agent_header header;
	ML_FD_CLEANUP int fd = -1;
	char path[96];

	if (!ml_process_read(process, mapping->start, &header, sizeof(header)) ||
	    header.magic != ML_AGENT_MAGIC || header.size != size ||
	    header.version != ML_AGENT_VERSION || header.address != mapping->start)
		return ml_error_new(ML_ERROR_UNSUPPORTED,
				    "process %d has an agent of another version of memleak in it",
				    pid);
	snprintf(path, sizeof(path), "/proc/%d/map_files/%lx-%lx", pid, mapping->start,
		 mapping->end);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return ml_error_errno(errno, "cannot open the agent left in process %d", pid);

	struct ml_error *error = open_memory(fd, size, out);

	if (!error && is_at_work(out->memory)) {
		ml_injection_close(out);
		error = ml_error_new(ML_ERROR_TARGET,
				     "another memleak is tracing process %d with the agent", pid);
	}
	return error;
}

struct ml_error *ml_injection_find(const struct ml_process *process, struct ml_injection *out)
{
	struct ml_maps maps = {0};
	struct ml_error *error = ml_process_maps(process, &maps);

	*out = (struct ml_injection){.pid = ml_process_pid(process)};
	if (error)
		return error;
	ml_array_each (mapping, &maps.list)
		if (!error && !out->memory && is_memory(mapping))
			error = open_found(process, mapping, out);
	ml_maps_deinit(&maps);
	return error;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/** What others left in a process. */
#include "base/file.h"
#include "inject/injection_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

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

static struct ml_error *open_found(const struct ml_mapping *mapping, struct ml_injection *out)
{
	pid_t pid = ml_process_pid(out->process);
	struct ml_agent_header header;
	ML_FD_CLEANUP int fd = -1;
	char path[96];
	void *memory;

	out->size = mapping->end - mapping->start;
	if (!ml_process_read(out->process, mapping->start, &header, sizeof(header)) ||
	    header.magic != ML_AGENT_MAGIC || header.size != out->size ||
	    header.version != ML_AGENT_VERSION || header.address != mapping->start)
		return ml_error_new(ML_ERROR_UNSUPPORTED,
				    "process %d has an agent of another version of memleak in it",
				    pid);
	snprintf(path, sizeof(path), "/proc/%d/map_files/%lx-%lx", pid, mapping->start,
		 mapping->end);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return ml_error_errno(errno, "cannot open the agent left in process %d", pid);
	memory = mmap(NULL, out->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (memory == MAP_FAILED)
		return ml_error_errno(errno, "cannot map the agent left in process %d", pid);
	out->memory = memory;
	out->fd = fd;
	fd = -1;
	if (!is_at_work(out->memory))
		return NULL;
	ml_injection_close(out);
	return ml_error_new(ML_ERROR_TARGET, "another memleak is tracing process %d with the agent",
			    pid);
}

struct ml_error *ml_injection_find(const struct ml_process *process, struct ml_injection *out)
{
	struct ml_maps maps = {0};
	struct ml_error *error = ml_process_maps(process, &maps);

	*out = (struct ml_injection){.process = process, .fd = -1};
	if (error)
		return error;
	ml_array_each (mapping, &maps.list)
		if (!error && !out->memory && ml_memory_is(mapping))
			error = open_found(mapping, out);
	ml_maps_deinit(&maps);
	return error;
}

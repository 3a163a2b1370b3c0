/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/agent_room.h"

#include "target/memory_limit.h"
#include "target/proc.h"

#include <stddef.h>

/* The first of the books, and what a thread may remember: 27 KiB were measured with 1000 threads.
 */
#define LEAST_BYTES  (16u << 20)
#define THREAD_BYTES (64u << 10)
/* The program's own growth needs the rest. */
#define SHARE 4u

static uint64_t least_bytes(pid_t pid)
{
	ml_proc_tids tids = {0};
	uint64_t least = LEAST_BYTES;

	if (ml_proc_threads(pid, &tids))
		least += tids.count * THREAD_BYTES;
	ml_array_free(&tids);
	return least;
}

struct ml_error *ml_agent_room_find(pid_t pid, uint64_t *bytes)
{
	struct ml_memory_limit limit;
	uint64_t room;

	*bytes = UINT64_MAX;
	ml_memory_limit_find(pid, &limit);
	/* Limits of address space refuse the mapping itself. */
	if (limit.kind != ML_LIMIT_CGROUP && limit.kind != ML_LIMIT_MACHINE)
		return NULL;
	room = limit.limit_bytes > limit.used_bytes ? limit.limit_bytes - limit.used_bytes : 0;
	if (room < least_bytes(pid))
		return ml_error_new(ML_ERROR_TARGET,
				    "process %d has %llu MiB left to the limit of %s, which the "
				    "agent's books could use up: use --backend bpf, which keeps "
				    "them elsewhere",
				    (int)pid, (unsigned long long)(room >> 20),
				    limit.kind == ML_LIMIT_CGROUP ? "its cgroup" : "the machine");
	*bytes = room / SHARE;
	return NULL;
}

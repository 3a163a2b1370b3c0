/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/agent_tids.h"

#include "base/clock.h"
#include "base/file.h"
#include "target/proc.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define STATUS_BYTES (1u << 20)
/* Threads that are gone are not looked for again at once. */
#define LOOK_NS (100 * ML_NS_PER_MS)
/* When so many are known all are forgotten: the target says what threads there are. */
#define KNOWN_LIMIT 65536

static char *read_file(pid_t pid, pid_t tid, const char *name)
{
	char path[64], *text = NULL;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/%s", pid, tid, name);
	ml_error_free(ml_file_read(AT_FDCWD, path, STATUS_BYTES, &text, NULL));
	return text;
}

static struct ml_agent_tid *put(struct ml_agent_tids *tids, uint32_t inner, pid_t tid)
{
	struct ml_agent_tid *known;
	uint64_t *place;

	if (tids->by_inner.count >= KNOWN_LIMIT)
		ml_agent_tids_deinit(tids);
	place = ml_u64map_put(&tids->by_inner, inner, NULL);
	known = (struct ml_agent_tid *)(uintptr_t)*place;
	if (!known) {
		known = ml_alloc(sizeof(*known));
		*place = (uint64_t)(uintptr_t)known;
	}
	known->tid = tid;
	return known;
}

static struct ml_agent_tid *get(const struct ml_agent_tids *tids, uint32_t inner)
{
	const uint64_t *known = ml_u64map_get(&tids->by_inner, inner);

	return known ? (struct ml_agent_tid *)(uintptr_t)*known : NULL;
}

/* Asks all threads for their tids inside. */
static void look(struct ml_agent_tids *tids, const struct ml_process *process)
{
	pid_t pid = ml_process_pid(process);
	ml_proc_tids all = {0};

	ml_proc_threads(pid, &all);
	ml_array_each (tid, &all) {
		ML_FREE_CLEANUP char *status = read_file(pid, *tid, "status");

		if (status)
			put(tids, (uint32_t)ml_proc_status_number(status, "NSpid:", -1, *tid),
			    *tid);
	}
	ml_array_free(&all);
}

static struct ml_agent_tid *find(struct ml_agent_tids *tids, const struct ml_process *process,
				 uint32_t inner)
{
	struct ml_agent_tid *known = get(tids, inner);
	uint64_t now_ns = ml_monotonic_ns();

	if (known)
		return known;
	if (process && (uint32_t)ml_process_inner_pid(process) == inner)
		return put(tids, inner, ml_process_pid(process));
	if (process && ml_process_inner_pid(process) != ml_process_pid(process) &&
	    now_ns - tids->looked_ns > LOOK_NS) {
		tids->looked_ns = now_ns;
		look(tids, process);
		known = get(tids, inner);
	}
	return known ? known : put(tids, inner, (pid_t)inner);
}

static void read_name(struct ml_agent_tid *tid, const struct ml_process *process)
{
	ML_FREE_CLEANUP char *comm = read_file(ml_process_pid(process), tid->tid, "comm");

	if (comm)
		comm[strcspn(comm, "\n")] = '\0';
	if (comm || !*tid->comm)
		snprintf(tid->comm, sizeof(tid->comm), "%s",
			 comm ? comm : ml_process_comm(process));
}

const struct ml_agent_tid *ml_agent_tids_get(struct ml_agent_tids *tids,
					     const struct ml_process *process, uint32_t inner,
					     uint64_t time_ns)
{
	struct ml_agent_tid *tid = find(tids, process, inner);

	if (process && tid->read_ns < time_ns) {
		read_name(tid, process);
		tid->read_ns = ml_monotonic_ns();
	}
	return tid;
}

void ml_agent_tids_translate(struct ml_agent_tids *tids, const struct ml_process *process,
			     struct ml_snapshot *snapshot, size_t first)
{
	for (size_t i = first; i < snapshot->blocks.count; i++) {
		struct ml_block *block = &snapshot->blocks.items[i];

		block->tid = find(tids, process, (uint32_t)block->tid)->tid;
	}
}

void ml_agent_tids_deinit(struct ml_agent_tids *tids)
{
	uint64_t inner, tid;

	for (size_t cursor = 0; ml_u64map_next(&tids->by_inner, &cursor, &inner, &tid);)
		free((void *)(uintptr_t)tid);
	ml_u64map_free(&tids->by_inner);
}

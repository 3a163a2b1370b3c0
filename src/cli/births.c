/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/births.h"

#include "base/array.h"
#include "base/clock.h"
#include "base/u64map.h"
#include "target/proc.h"
#include "trace/perf_rings.h"

#include <unistd.h>

/* Following may tell of a child later than perf does. */
#define TOLD_WITHIN_NS ML_NS_PER_SECOND

struct birth {
	pid_t child;
	uint64_t read_ns;
};

struct ml_births {
	struct ml_perf_rings *rings;
	struct ml_u64map told; /* pids of which perf has not told yet */
	ML_ARRAY(struct birth) waiting;
	uint64_t missed;
};

struct ml_births *ml_births_open(void)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_DUMMY,
		.task = 1,
		.watermark = 1,
		.wakeup_watermark = 1,
	};
	struct ml_perf_rings *rings;
	ML_ERROR_CLEANUP struct ml_error *error =
		ml_perf_rings_open(&attr, "watch for new processes", &rings);
	struct ml_births *births;

	if (error)
		return NULL;
	births = ml_alloc(sizeof(*births));
	births->rings = rings;
	return births;
}

void ml_births_close(struct ml_births *births)
{
	if (!births)
		return;
	ml_perf_rings_close(births->rings);
	ml_u64map_free(&births->told);
	ml_array_free(&births->waiting);
	free(births);
}

void ml_births_told(struct ml_births *births, pid_t child)
{
	if (births)
		ml_u64map_put(&births->told, (uint64_t)child, NULL);
}

/* PERF_RECORD_FORK of perf_event_open(2). */
struct record {
	struct perf_event_header header;
	uint32_t pid, parent;
};

struct reading {
	struct ml_births *births;
	bool (*is_ours)(void *context, pid_t parent);
	void *context;
};

static void take(void *context, const struct perf_event_header *header)
{
	const struct record *record = (const struct record *)header;
	struct reading *reading = context;

	/* A thread has its parent's pid. */
	if (header->type == PERF_RECORD_FORK && record->pid != record->parent &&
	    reading->is_ours(reading->context, (pid_t)record->parent))
		*ml_array_push(&reading->births->waiting) =
			(struct birth){(pid_t)record->pid, ml_monotonic_ns()};
}

void ml_births_read(struct ml_births *births, bool (*is_ours)(void *context, pid_t parent),
		    void *context)
{
	struct reading reading = {births, is_ours, context};

	if (births)
		ml_perf_rings_read(births->rings, take, &reading);
}

/* False while it may still be told of: one that our ptrace holds is about to be. */
static bool is_decided(struct ml_births *births, const struct birth *birth, bool all)
{
	if (ml_u64map_remove(&births->told, (uint64_t)birth->child))
		return true;
	if ((!all && ml_monotonic_ns() - birth->read_ns < TOLD_WITHIN_NS) ||
	    ml_proc_tracer(birth->child) == getpid())
		return false;
	births->missed++;
	return true;
}

uint64_t ml_births_missed(struct ml_births *births, bool all)
{
	size_t left = 0;

	if (!births)
		return 0;
	ml_array_each (birth, &births->waiting)
		if (!is_decided(births, birth, all))
			births->waiting.items[left++] = *birth;
	births->waiting.count = left;
	return births->missed;
}

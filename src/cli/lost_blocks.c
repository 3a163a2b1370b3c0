/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/lost_blocks.h"

#include "base/clock.h"
#include "cli/exit_frame.h"
#include "cli/note.h"
#include "heap/reach.h"
#include "target/launch.h"
#include "target/proc.h"
#include "target/ptrace_stop.h"

#include <string.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <unistd.h>

/* How long the other threads may take to end once the process is told to. */
#define THREADS_END_NS (ML_NS_PER_SECOND / 5)
/* How long the command may take to stop. */
#define STOP_NS (ML_NS_PER_SECOND / 10)

bool ml_lost_blocks_wanted(const struct ml_options *options, const struct ml_tracer *tracer)
{
	return options->fail_on_leak && strcmp(tracer->ops->name, "kernel") != 0;
}

const char *ml_lost_blocks_obstacle(const struct ml_options *options)
{
	if (options->follow)
		return "--follow";
	if (options->trace_calls)
		return "--trace";
	if (options->sample_bytes)
		return "--sample-bytes";
	if (options->sample_every > 1)
		return "--sample-rate";
	if (options->min_size || options->max_size)
		return "--min-size or --max-size";
	return options->object ? "--obj" : NULL;
}

/* False when only the main thread ends, and the program goes on without it. */
static bool is_alone(pid_t pid)
{
	uint64_t start_ns = ml_monotonic_ns();
	struct ml_proc_stat stat;

	while (ml_proc_stat_read(pid, &stat) && stat.threads > 1) {
		if (ml_monotonic_ns() - start_ns > THREADS_END_NS)
			return false;
		usleep(1000);
	}
	return true;
}

static void add_block(struct ml_lost_blocks *lost, const struct ml_reach_block *block)
{
	bool is_new;
	uint64_t *index = ml_u64map_put(&lost->by_stack, block->tag, &is_new);

	if (is_new) {
		*index = lost->sites.count;
		*ml_array_push(&lost->sites) = (struct ml_lost_site){0};
	}
	lost->sites.items[*index].bytes += block->size;
	lost->sites.items[*index].count++;
}

/* Blocks that are not in the books may hold the only pointers to others. */
static bool has_all(const struct ml_snapshot *snapshot)
{
	static const size_t missing[] = {
		ML_COUNTER_LIVE_TABLE_FULL, ML_COUNTER_SITE_TABLE_FULL, ML_COUNTER_CALLS_MISSED,
		ML_COUNTER_RETURNS_LOST,    ML_COUNTER_TASK_STATE_LOST,
	};

	for (size_t i = 0; i < sizeof(missing) / sizeof(missing[0]); i++)
		if (snapshot->counters[missing[i]])
			return false;
	return true;
}

/* jemalloc leaves pointers to blocks that it has given away in the caches of its threads. */
static void tell_of_jemalloc(const struct ml_process *process)
{
	struct ml_maps maps = {0};
	struct ml_error *error = ml_process_maps(process, &maps);
	bool has_jemalloc = false;

	ml_error_free(error);
	ml_array_each (mapping, &maps.list)
		has_jemalloc |= strstr(mapping->path, "/libjemalloc") != NULL;
	if (has_jemalloc)
		ml_note("jemalloc's caches still point to blocks that the command has lost: not "
			"all of them are found; without jemalloc they are");
	ml_maps_deinit(&maps);
}

static struct ml_error *look(struct ml_lost_blocks *lost, struct ml_tracer *tracer,
			     const struct ml_process *process, const struct ml_reach_roots *roots)
{
	const struct ml_snapshot_filter filter = {.want_blocks = true, .want_ages = true};
	struct ml_snapshot snapshot = {0};
	ml_reach_blocks blocks = {0};
	struct ml_error *error = tracer->ops->snapshot(tracer, &filter, &snapshot);

	if (error)
		return error;
	ml_array_each (block, &snapshot.blocks)
		*ml_array_push(&blocks) = (struct ml_reach_block){
			.address = block->address, .size = block->size, .tag = block->stack};
	if (!has_all(&snapshot))
		error = ml_error_new(ML_ERROR_SYSTEM, "blocks are missing in the books");
	else
		error = ml_reach_mark(process, roots, &blocks);
	ml_array_each (block, &blocks)
		if (!error && !block->is_reached)
			add_block(lost, block);
	lost->was_looked = !error;
	ml_array_free(&blocks);
	ml_snapshot_deinit(&snapshot);
	return error;
}

static void on_end(struct ml_lost_blocks *lost, struct ml_tracer *tracer,
		   const struct ml_process *process)
{
	struct user_regs_struct registers;
	struct ml_reach_roots roots;
	struct ml_error *error;

	lost->is_ending = true;
	if (lost->was_looked || ptrace(PTRACE_GETREGS, ml_process_pid(process), NULL, &registers))
		return;
	if (!is_alone(ml_process_pid(process))) {
		/*
		 * The other threads are not held, too: PTRACE_SEIZE waits for one that execs
		 * (ptrace_attach() in kernel/ptrace.c takes cred_guard_mutex), which waits for
		 * those that are held.
		 */
		if (registers.orig_rax == SYS_exit)
			ml_note("the command's main thread ends before its other threads: it is "
				"not searched at its end for blocks that nothing points to, only "
				"what grows while it runs is a leak");
		return;
	}
	ml_exit_frame_roots(process, &registers, &roots);
	error = look(lost, tracer, process, &roots);
	if (error)
		ml_note("what the command lost is not known, only how its memory grew: %s",
			ml_error_message(error));
	else
		tell_of_jemalloc(process);
	ml_error_free(error);
}

/* What is not to be let go: its end, or its next program before it is attached to. */
static bool is_ours(const siginfo_t *info)
{
	enum ml_ptrace_stop kind = ml_ptrace_stop_kind(ml_ptrace_status_of(info));

	return ml_ptrace_is_end(info) || kind == ML_PTRACE_END || kind == ML_PTRACE_EXEC;
}

/* Waits for a stop of @pid in which it may be let go: its status, 0 when there is none. */
static int wait_stop(pid_t pid)
{
	uint64_t deadline_ns = ml_monotonic_ns() + STOP_NS;
	siginfo_t info = {0};
	int status;

	while (!waitid(P_PID, (id_t)pid, &info, WSTOPPED | WEXITED | WNOHANG | WNOWAIT | __WALL)) {
		if (info.si_pid && is_ours(&info))
			return 0;
		if (info.si_pid)
			return waitpid(pid, &status, __WALL) == pid ? status : 0;
		if (ml_monotonic_ns() > deadline_ns)
			return 0;
		usleep(100);
	}
	return 0;
}

bool ml_lost_blocks_turn(const struct ml_lost_blocks *lost, pid_t pid, bool begins)
{
	int status;

	if (!begins) {
		ptrace(PTRACE_SEIZE, pid, NULL, (long)ML_LAUNCH_KEPT_OPTIONS);
		return true;
	}
	if (lost->is_ending || ptrace(PTRACE_INTERRUPT, pid, NULL, NULL))
		return false;
	status = wait_stop(pid);
	if (!status)
		return false;
	return !ptrace(PTRACE_DETACH, pid, NULL,
		       ml_ptrace_stop_kind(status) == ML_PTRACE_SIGNAL ? (long)WSTOPSIG(status)
								       : 0L);
}

bool ml_lost_blocks_dispatch(struct ml_lost_blocks *lost, struct ml_tracer *tracer,
			     const struct ml_process *process)
{
	pid_t pid = ml_process_pid(process);

	for (;;) {
		siginfo_t info = {0};

		/* Not WEXITED: who reaps it is somebody else. */
		if (waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOHANG | __WALL) || !info.si_pid)
			return false;

		int status = ml_ptrace_status_of(&info);
		enum ml_ptrace_stop kind = ml_ptrace_stop_kind(status);

		if (kind == ML_PTRACE_EXEC && !ml_tracer_outlives_exec(tracer))
			return true;
		if (kind == ML_PTRACE_END)
			on_end(lost, tracer, process);
		ml_ptrace_resume(pid, status, PTRACE_CONT);
	}
}

void ml_lost_blocks_fill(const struct ml_lost_blocks *lost, struct ml_snapshot *snapshot)
{
	if (!lost->sites.count)
		return;
	ml_array_each (books, &snapshot->sites) {
		const uint64_t *index = ml_u64map_get(&lost->by_stack, books->stack);

		if (!index)
			continue;
		books->lost_bytes = lost->sites.items[*index].bytes;
		books->lost_count = lost->sites.items[*index].count;
		if (books->lost_count > books->shown_count) {
			books->lost_bytes = books->shown_bytes;
			books->lost_count = books->shown_count;
		}
	}
}

void ml_lost_blocks_deinit(struct ml_lost_blocks *lost)
{
	ml_u64map_free(&lost->by_stack);
	ml_array_free(&lost->sites);
}

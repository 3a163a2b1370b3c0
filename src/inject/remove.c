/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Taking the agent out of a process. All threads are stopped together only for as long as it takes
 * to put the functions back: from then on nobody comes into the agent, and who has left it stays
 * out. So the threads are then looked at one by one, and the last one to be looked at unmaps it.
 */
#include "base/clock.h"
#include "base/file.h"
#include "inject/removal.h"
#include "inject/running.h"
#include "target/maps.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* For how long, and how often, it is looked whether all threads have left the agent. */
#define ATTEMPT_GAP_US 1000
#define LIMIT_NS       (5000 * ML_NS_PER_MS)
/* Threads that are asked to unmap it, one after the other: those that do not stop take long. */
#define UNMAPPERS 4
/* Pages of the memory that a thread unmaps in one stop, some 300 ns each, and how many such stops
 * there may be. */
#define STOP_PAGES 700u
#define PARTS_MAX  200

/* Puts the functions back. False when one is no more as we left it: then the stubs must stay. */
static bool restore(const struct ml_removal *removal)
{
	const struct ml_agent_header *header = &removal->header;
	bool all = true;

	for (uint32_t i = 0; i < ml_agent_patches(header); i++) {
		const struct ml_agent_patch *patch = &header->patches[i];
		uint8_t now[sizeof(patch->patched)];

		if (patch->size > sizeof(now) ||
		    !ml_stop_read(&removal->step.stop, patch->address, now, patch->size) ||
		    !memcmp(now, patch->original, patch->size))
			continue;
		if (memcmp(now, patch->patched, patch->size) != 0)
			all = all && ml_patch_state(removal->step.process, patch) == ML_PATCH_GONE;
		else if (!ml_stop_write(&removal->step.stop, patch->address, patch->original,
					patch->size))
			all = false;
	}
	return all;
}

/* A tool that was killed at this may have taken it away, and something else be there now. */
static void unmap_part(struct ml_removal *removal, const struct ml_agent_range *part,
		       uint64_t offset, uint64_t magic)
{
	uint64_t word = 0;

	if (part->start &&
	    ml_stop_read(&removal->step.stop, part->start + offset, &word, sizeof(word)) &&
	    word == magic)
		ml_step_munmap(&removal->step, part->start, part->size);
}

/* The memory comes last: it tells of the others. */
static void unmap_all(struct ml_removal *removal)
{
	struct ml_agent_header *header = &removal->header;
	const uint64_t arguments[6] = {(uint64_t)removal->descriptor};
	int64_t result;

	for (uint32_t i = 0; i < ml_agent_islands(header); i++)
		unmap_part(removal, &header->islands[i], 0, ML_ISLAND_MAGIC);
	unmap_part(removal, &header->image, ML_AGENT_IMAGE_CODE, ML_AGENT_MAGIC);
	if (removal->descriptor >= 0)
		ml_error_free(ml_step_call(&removal->step, "close", SYS_close, arguments, &result));
	ml_step_munmap(&removal->step, header->address, header->size);
}

/* ---- the stops --------------------------------------------------------------------------------
 */

static struct ml_error *explain_filter(const struct ml_removal *removal)
{
	return ml_error_new(ML_ERROR_TARGET,
			    "process %d has got a seccomp filter since it was attached to, which "
			    "might kill it for munmap: its functions are restored, but the agent's "
			    "memory is left mapped; memleak doctor --repair -p %d as root takes it "
			    "out",
			    removal->step.pid, removal->step.pid);
}

static uint64_t remover_at(const struct ml_removal *removal)
{
	return removal->header.address + offsetof(struct ml_agent_header, remover);
}

/* Threads go on between the stops, so another memleak, which takes the agent for one that was left
 * behind, may come in between. It would stop all threads: who did so last unmaps the agent. */
static bool is_ours(const struct ml_removal *removal)
{
	uint32_t remover;

	return !removal->is_marked ||
	       (ml_stop_read(&removal->step.stop, remover_at(removal), &remover, sizeof(remover)) &&
		remover == removal->id);
}

static struct ml_error *explain_other(const struct ml_removal *removal)
{
	return ml_error_new(ML_ERROR_TARGET, "another memleak takes the agent out of process %d",
			    removal->step.pid);
}

/* With all threads stopped. */
static struct ml_error *restore_all(struct ml_removal *removal)
{
	bool is_restored = restore(removal);

	/* Not where there is no memory, or none that can be written yet. */
	removal->is_marked =
		removal->header.address && ml_stop_write(&removal->step.stop, remover_at(removal),
							 &removal->id, sizeof(removal->id));
	if (!removal->step.may_call)
		return explain_filter(removal);
	return is_restored ? NULL
			   : ml_error_new(ML_ERROR_TARGET,
					  "something else patched functions of process %d over "
					  "ours; the agent stays in it, switched off",
					  removal->step.pid);
}

/* Ends a stop, which is counted with the looks at threads before it: nobody was in both. */
static void end_stop(struct ml_removal *removal)
{
	struct ml_stop *stop = &removal->step.stop;

	ml_stop_end(stop);
	if (stop->longest_ns < removal->looks.longest_ns)
		stop->longest_ns = removal->looks.longest_ns;
	removal->looks.longest_ns = 0;
	if (removal->memory)
		ml_stop_count(stop, &removal->memory->header);
}

/* Of all threads (@only 0), or of one; in a crowd of all. */
static struct ml_error *begin_stop(struct ml_removal *removal, pid_t only)
{
	struct ml_step *step = &removal->step;
	bool stops_all = !only || ml_running_is_crowd(step->pid);
	struct ml_error *error = ml_step_seize(step, stops_all ? 0 : only, NULL);

	if (!error && step->stop.threads.count)
		error = ml_step_stop(step);
	return error;
}

static struct ml_error *wrap(const struct ml_removal *removal, struct ml_error *error)
{
	if (!error)
		return NULL;
	return ml_error_wrap(error,
			     "the agent stays in process %d, switched off, until the next memleak "
			     "with one or memleak doctor --repair",
			     removal->step.pid);
}

/* Restores the functions, and notes who was there then: nobody else can be within the agent. */
static struct ml_error *put_back(struct ml_removal *removal)
{
	struct ml_step *step = &removal->step;
	struct ml_error *error = wrap(removal, begin_stop(removal, 0));

	if (!error) {
		error = restore_all(removal);
		/* That one may make system calls. */
		removal->caller = step->stop.threads.items[0].tid;
		for (size_t i = 1; i < step->stop.threads.count; i++)
			*ml_array_push(&removal->rest) = step->stop.threads.items[i].tid;
		end_stop(removal);
	}
	ml_step_leave(step, NULL);
	return error;
}

/* Whether the thread that was not looked at with the others is out: it may be among those stopped,
 * or has ended. */
static bool is_caller_out(struct ml_removal *removal)
{
	ml_array_each (thread, &removal->step.stop.threads)
		if (thread->tid == removal->caller)
			return ml_removal_is_out(removal, &removal->step.stop, thread);
	return true;
}

/* Has the first stopped thread unmap the agent, if the caller is not within it. */
static struct ml_error *unmap_stopped(struct ml_removal *removal, bool *done)
{
	struct ml_step *step = &removal->step;

	if (!step->may_call)
		return explain_filter(removal);
	if (!is_ours(removal))
		return explain_other(removal);
	*done = is_caller_out(removal);
	if (*done)
		unmap_all(removal);
	return NULL;
}

/* False when @tid has ended, or could not be stopped or asked, for the reason in @error. */
static bool unmap_by(struct ml_removal *removal, pid_t tid, bool *done, struct ml_error **error)
{
	bool is_stopped;

	*error = begin_stop(removal, tid);
	is_stopped = !*error && removal->step.stop.threads.count;
	if (is_stopped) {
		*error = unmap_stopped(removal, done);
		end_stop(removal);
	}
	ml_step_leave(&removal->step, NULL);
	return is_stopped && !*error;
}

/* Where the part of the memory that begins at @start ends, with its STOP_PAGES of pages that are in
 * use; 0 when there are not so many. */
static uint64_t find_part(const struct ml_removal *removal, uint64_t start)
{
	uint64_t room = STOP_PAGES * (uint64_t)ML_AGENT_PAGE;
	off_t data = (off_t)start, hole;

	for (;;) {
		data = lseek(removal->fd, data, SEEK_DATA);
		hole = data < 0 ? -1 : lseek(removal->fd, data, SEEK_HOLE);
		if (hole <= data)
			return 0;
		if ((uint64_t)(hole - data) >= room)
			return (uint64_t)data + room;
		room -= (uint64_t)(hole - data);
		data = hole;
	}
}

static bool drop_pages(struct ml_removal *removal, uint64_t start, uint64_t end)
{
	const uint64_t arguments[6] = {removal->header.address + start, end - start, MADV_DONTNEED};
	struct ml_step *step = &removal->step;
	ML_ERROR_CLEANUP struct ml_error *error = begin_stop(removal, removal->caller);
	bool is_stopped = !error && step->stop.threads.count;
	int64_t result;

	if (is_stopped) {
		if (is_ours(removal))
			error = ml_step_call(step, "madvise", SYS_madvise, arguments, &result);
		end_stop(removal);
	}
	ml_step_leave(step, NULL);
	return is_stopped && !error;
}

/* When they are many the memory's pages leave the process before the memory does, in more stops
 * that are short. They stay in the file, so it would do no harm if a thread used them. */
static void drop_most_pages(struct ml_removal *removal)
{
	struct stat file;
	uint64_t parts = 0;

	if (removal->fd >= 0 && !removal->has_dropped && !fstat(removal->fd, &file))
		parts = (uint64_t)file.st_blocks * 512 / ML_AGENT_PAGE / STOP_PAGES;
	/* The last ones go with the memory. */
	for (uint64_t i = 1, start = 0; i < parts && i < PARTS_MAX; i++) {
		uint64_t end = find_part(removal, start);

		if (!end || !drop_pages(removal, start, end))
			break;
		start = end;
		usleep(ATTEMPT_GAP_US);
	}
	removal->has_dropped = true;
}

/* All are out: one that can be asked unmaps the agent. */
static struct ml_error *unmap_by_any(struct ml_removal *removal, bool *done)
{
	ml_proc_tids tids = {0};
	struct ml_error *error = NULL;
	int failed = 0;

	ml_proc_threads(removal->step.pid, &tids);
	for (size_t i = 0; i < tids.count && !*done && failed < UNMAPPERS; i++) {
		ml_error_free(error);
		unmap_by(removal, tids.items[i], done, &error);
		failed += error != NULL;
	}
	ml_array_free(&tids);
	return wrap(removal, error);
}

/* All but the caller are out. When it cannot unmap the agent, it is looked at like the others. */
static struct ml_error *unmap(struct ml_removal *removal, bool *done)
{
	ML_ERROR_CLEANUP struct ml_error *error = NULL;

	if (!removal->caller)
		return unmap_by_any(removal, done);
	if (!unmap_by(removal, removal->caller, done, &error)) {
		*ml_array_push(&removal->rest) = removal->caller;
		removal->caller = 0;
	}
	return NULL;
}

/* Looks at those that may be within the agent; the last one unmaps it. */
static struct ml_error *try_once(struct ml_removal *removal, bool *done)
{
	struct ml_error *error = ml_removal_read_maps(removal);

	if (!error)
		error = wrap(removal, ml_stop_visit(&removal->looks, &removal->rest,
						    ml_removal_is_out, removal));
	if (error || removal->rest.count)
		return error;
	drop_most_pages(removal);
	return unmap(removal, done);
}

static struct ml_error *remove_running(struct ml_removal *removal, bool *done)
{
	struct ml_error *error = put_back(removal);
	uint64_t end_ns = ml_monotonic_ns() + LIMIT_NS;

	for (; ml_monotonic_ns() < end_ns && !error && !*done; removal->attempt++) {
		if (removal->attempt)
			usleep(ATTEMPT_GAP_US);
		error = try_once(removal, done);
	}
	return error;
}

/* One that is held by our own ptrace has one thread, and does not run meanwhile. */
static struct ml_error *remove_held(struct ml_removal *removal, bool *done)
{
	struct ml_error *error = ml_removal_read_maps(removal);

	if (!error)
		error = wrap(removal, begin_stop(removal, 0));
	if (!error) {
		error = restore_all(removal);
		removal->caller = removal->step.pid;
		if (!error)
			error = unmap_stopped(removal, done);
		end_stop(removal);
	}
	ml_step_leave(&removal->step, NULL);
	return error;
}

static struct ml_error *remove_stopped(void *context)
{
	struct ml_removal *removal = context;
	struct ml_error *error;
	bool done = false;

	removal->stack = ml_alloc(ML_REMOVAL_STACK);
	removal->looks = (struct ml_stop){
		.pid = removal->step.pid,
		.memory_fd = -1,
		.is_filtered = removal->step.filter != ML_FILTER_NONE,
	};
	removal->id = (uint32_t)ml_monotonic_ns() | 1;
	ml_removal_find_places(removal);
	error = ml_process_is_held(removal->step.process) ? remove_held(removal, &done)
							  : remove_running(removal, &done);
	ml_maps_deinit(&removal->maps);
	ml_array_free(&removal->places);
	ml_array_free(&removal->rest);
	free(removal->stack);
	if (error || done)
		return error;
	return ml_error_new(ML_ERROR_TARGET,
			    "a thread of process %d stays within the agent; it is switched off and "
			    "its functions are restored, but its memory is left mapped",
			    removal->step.pid);
}

/* An exec or another memleak may have taken it away. */
static bool is_there(const struct ml_process *process, const struct ml_agent_header *header)
{
	uint64_t start = header->address        ? header->address
			 : header->island_count ? header->islands[0].start
						: header->image.start + ML_AGENT_IMAGE_CODE;
	struct ml_maps maps = {0};
	ML_ERROR_CLEANUP struct ml_error *error = ml_process_maps(process, &maps);
	const struct ml_mapping *mapping = error ? NULL : ml_maps_find(&maps, start);
	bool there = mapping &&
		     (header->address ? mapping->start == start && ml_memory_is(process, mapping)
				      : mapping->is_executable);

	ml_maps_deinit(&maps);
	return there;
}

static struct ml_error *remove_all(struct ml_removal *removal, const struct ml_process *process)
{
	struct ml_error *error;

	if (!is_there(process, &removal->header) && removal->descriptor < 0)
		return NULL;
	error = ml_step_prepare_end(process, &removal->step);
	if (!error)
		error = ml_step_run(process, remove_stopped, removal);
	/* Gone meanwhile: nothing is left to be done. */
	if (error && !is_there(process, &removal->header)) {
		ml_error_free(error);
		return NULL;
	}
	return error;
}

struct ml_error *ml_injection_remove(struct ml_injection *injection)
{
	struct ml_removal removal = {
		.memory = injection->memory, .fd = injection->fd, .descriptor = -1};

	if (!injection->memory)
		return NULL;
	removal.header = injection->memory->header;
	__atomic_store_n(&injection->memory->header.mode, ML_AGENT_OFF, __ATOMIC_RELEASE);
	return remove_all(&removal, injection->process);
}

struct ml_error *ml_injection_remove_left(const struct ml_process *process,
					  const struct ml_injection_left *left)
{
	const uint32_t off = ML_AGENT_OFF;
	struct ml_removal removal = {
		.header = left->header, .fd = -1, .descriptor = ml_memory_descriptor(process)};

	if (left->header.magic)
		ml_process_write(process,
				 left->header.address + offsetof(struct ml_agent_header, mode),
				 &off, sizeof(off));
	return remove_all(&removal, process);
}

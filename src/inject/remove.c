/* SPDX-License-Identifier: BSD-2-Clause */
/** Taking the agent out of a process. */
#include "base/file.h"
#include "inject/injection_private.h"
#include "target/maps.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* How often it is looked whether all threads have left the agent. */
#define ATTEMPTS       200
#define ATTEMPT_GAP_US 1000
#define QUICK_ATTEMPTS 4

/* Bytes of stack looked at for the frame of a signal handler that interrupted the agent. */
#define SCAN_LIMIT (1u << 20)

struct removal {
	struct ml_agent_memory *memory; /* ours; NULL: read through the process */
	struct ml_agent_header header;  /* a copy: the memory goes */
	struct ml_step step;
	struct ml_maps maps;
	int descriptor;      /* of the memory's file, left open; -1 */
	bool maps_are_exact; /* read with all threads stopped */
	uint64_t *stack;     /* SCAN_LIMIT bytes to read one into */
	/* The threads' places that are in use, as of when so many threads had got one. */
	ML_ARRAY(uint32_t) places;
	uint32_t tid_count;
};

static bool is_inside(const struct ml_agent_header *header, uint64_t address)
{
	if (address - header->image.start < header->image.size)
		return true;
	for (uint32_t i = 0; i < ml_agent_islands(header); i++)
		if (address - header->islands[i].start < header->islands[i].size)
			return true;
	return false;
}

static bool is_restorer(const struct removal *removal, uint64_t address)
{
	uint8_t code[ML_RESTORER_BYTES];

	return ml_stop_read(&removal->step.stop, address, code, sizeof(code)) &&
	       ml_machine_is_restorer(code);
}

/* A signal handler runs that interrupted the agent: the frame below its saved rip tells. A forked
 * child, whose calls nobody notes, may have been in one that the agent made. */
static bool is_interrupted(const struct removal *removal, uint64_t sp)
{
	const struct ml_mapping *stack = ml_maps_find(&removal->maps, sp);
	uint64_t low = sp & ~7ull, size;
	uint64_t *words = removal->stack;

	/* Mapped since the maps were read, perhaps. */
	if (!stack)
		return !removal->maps_are_exact;
	size = stack->end - low < SCAN_LIMIT ? stack->end - low : SCAN_LIMIT;
	if (!ml_stop_read(&removal->step.stop, low, words, size))
		return false;
	for (uint64_t i = (ML_SIGNAL_RIP + 8) / 8; i < size / 8; i++)
		if (is_inside(&removal->header, words[i]) &&
		    (is_restorer(removal, words[i - (ML_SIGNAL_RIP + 8) / 8]) ||
		     (!removal->header.address && words[i] == removal->header.returned)))
			return true;
	return false;
}

/* Reads what the agent keeps at @offset of its memory. */
static void read_memory(const struct removal *removal, size_t offset, void *out, size_t size)
{
	memset(out, 0, size);
	if (removal->memory)
		memcpy(out, (const char *)removal->memory + offset, size);
	else if (removal->header.address)
		ml_process_read(removal->step.process, removal->header.address + offset, out, size);
}

static uint64_t thread_word(const struct removal *removal, uint32_t i, size_t member)
{
	uint64_t word;

	read_memory(removal,
		    offsetof(struct ml_agent_memory, threads) + i * sizeof(struct ml_agent_thread) +
			    member,
		    &word, sizeof(word));
	return word;
}

/* Since the agent is off no thread gets a place that is not about to, which is rare: the places are
 * looked for before anybody is stopped, and again only when there is a new one. */
static void find_places(struct removal *removal)
{
	uint32_t tid_count;

	read_memory(removal, offsetof(struct ml_agent_memory, tid_count), &tid_count,
		    sizeof(tid_count));
	if (removal->places.count && tid_count == removal->tid_count)
		return;
	removal->tid_count = tid_count;
	removal->places.count = 0;
	for (uint32_t i = 0; i < ML_AGENT_THREADS; i++)
		if (thread_word(removal, i, offsetof(struct ml_agent_thread, pointer)))
			*ml_array_push(&removal->places) = i;
}

/* A function the agent called has not returned: its return address still stands where the agent
 * called from. One left by a longjmp does not count. */
static bool is_called(const struct removal *removal)
{
	ml_array_each (i, &removal->places) {
		uint64_t call = thread_word(removal, *i, offsetof(struct ml_agent_thread, call));
		uint64_t word;

		if (call && ml_stop_read(&removal->step.stop, call - 8, &word, sizeof(word)) &&
		    word == removal->header.returned)
			return true;
	}
	return false;
}

static bool is_within(const struct removal *removal, pid_t tid)
{
	struct user_regs_struct regs;

	return ml_registers_get(tid, &regs) &&
	       (is_inside(&removal->header, ml_registers_ip(&regs)) ||
		is_interrupted(removal, ml_registers_sp(&regs)));
}

/* Whether no thread is within the agent. The functions are restored, so none comes in any more:
 * each but the first can go on as soon as it has been looked at. */
static bool let_go_unused(struct removal *removal)
{
	struct ml_stop *stop = &removal->step.stop;

	find_places(removal);
	if (is_called(removal))
		return false;
	for (size_t i = 1; i < stop->threads.count;) {
		if (is_within(removal, stop->threads.items[i].tid))
			return false;
		if (!ml_stop_let_go(stop, i))
			i++;
	}
	return stop->threads.count && !is_within(removal, stop->threads.items[0].tid);
}

/* Puts the functions back. False when one is no more as we left it: then the stubs must stay. */
static bool restore(const struct removal *removal)
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
static void unmap_part(struct removal *removal, const struct ml_agent_range *part, uint64_t offset,
		       uint64_t magic)
{
	uint64_t word = 0;

	if (part->start &&
	    ml_stop_read(&removal->step.stop, part->start + offset, &word, sizeof(word)) &&
	    word == magic)
		ml_step_munmap(&removal->step, part->start, part->size);
}

/* The memory comes last: it tells of the others. */
static void unmap_all(struct removal *removal)
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

static struct ml_error *read_maps(struct removal *removal, bool is_exact)
{
	struct ml_maps maps = {0};
	struct ml_error *error = ml_process_maps(removal->step.process, &maps);

	if (error)
		return error;
	ml_maps_deinit(&removal->maps);
	removal->maps = maps;
	removal->maps_are_exact = is_exact;
	return NULL;
}

/* With all threads stopped; @done when none is within the agent. Then its memory is left to the
 * first of them: the others can go on. */
static struct ml_error *take_out(struct removal *removal, bool *done)
{
	bool is_restored = restore(removal);

	if (!removal->step.may_call)
		return ml_error_new(ML_ERROR_TARGET,
				    "process %d has got a seccomp filter since it was attached to, "
				    "which might kill it for munmap: its functions are restored, "
				    "but the agent's memory is left mapped; memleak doctor "
				    "--repair -p %d as root takes it out",
				    removal->step.pid, removal->step.pid);
	*done = is_restored && let_go_unused(removal);
	if (*done)
		unmap_all(removal);
	return is_restored ? NULL
			   : ml_error_new(ML_ERROR_TARGET,
					  "something else patched functions of process %d over "
					  "ours; the agent stays in it, switched off",
					  removal->step.pid);
}

/* One stop. The maps of a process with many threads take long to read: at first that is done before
 * it is stopped. */
static struct ml_error *try_once(struct removal *removal, bool reads_stopped, bool *done)
{
	struct ml_step *step = &removal->step;
	struct ml_error *error = reads_stopped ? NULL : read_maps(removal, false);

	if (!error)
		error = ml_step_seize(step, false, NULL);
	if (!error)
		error = ml_step_stop(step);
	if (error)
		error = ml_error_wrap(error,
				      "the agent stays in process %d, switched off, until the next "
				      "memleak with one or memleak doctor --repair",
				      step->pid);
	if (!error) {
		error = reads_stopped ? read_maps(removal, true) : NULL;
		if (!error)
			error = take_out(removal, done);
		ml_stop_end(&step->stop);
		if (removal->memory)
			ml_stop_count(&step->stop, &removal->memory->header);
	}
	ml_step_leave(step, NULL);
	return error;
}

static struct ml_error *remove_stopped(void *context)
{
	struct removal *removal = context;
	struct ml_error *error = NULL;
	bool done = false;

	removal->stack = ml_alloc(SCAN_LIMIT);
	find_places(removal);
	for (int i = 0; i < ATTEMPTS && !error && !done; i++) {
		if (i)
			usleep(ATTEMPT_GAP_US);
		error = try_once(removal, i >= QUICK_ATTEMPTS, &done);
	}
	ml_maps_deinit(&removal->maps);
	ml_array_free(&removal->places);
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

static struct ml_error *remove_all(struct removal *removal, const struct ml_process *process)
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
	struct removal removal = {.memory = injection->memory, .descriptor = -1};

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
	struct removal removal = {.header = left->header,
				  .descriptor = ml_memory_descriptor(process)};

	if (left->header.magic)
		ml_process_write(process,
				 left->header.address + offsetof(struct ml_agent_header, mode),
				 &off, sizeof(off));
	return remove_all(&removal, process);
}

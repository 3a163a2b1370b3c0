/* SPDX-License-Identifier: BSD-2-Clause */
/** Mapping the agent into a process, with one thread stopped for a moment. */
#include "inject/injection.h"

#include "base/file.h"
#include "inject/injection_private.h"
#include "inject/running.h"

#include <errno.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOW_ROOM_BYTES (64u << 20)

/* Where in the agent's writable page names may stand that system calls need: in a forked child the
 * agent runs already when this process is killed, and takes the first word for its memory. */

/* Mapping everything, or only memory for what a child has inherited. */
struct mapping {
	struct ml_step step;
	const struct ml_injection_function *functions;
	size_t count;
	const uint32_t *used;
	size_t size;
	bool is_inherited;
	int socket; /* the memory's descriptor goes through it */
	struct ml_agent_header header;
};

/* Where the stopped thread's tid stands; 0 when that is not known. */
static uint32_t find_tid(const struct ml_step *step)
{
	static const uint32_t offsets[] = {ML_AGENT_TID_GLIBC, ML_AGENT_TID_MUSL};
	uint32_t tid = (uint32_t)ml_process_inner_pid(step->process), word;
	struct user_regs_struct registers;
	uint64_t pointer = 0;

	if (ml_registers_get(step->stop.threads.items[0].tid, &registers))
		pointer = ml_registers_thread(&registers);
	for (size_t i = 0; pointer && i < sizeof(offsets) / sizeof(*offsets); i++)
		if (ml_stop_read(&step->stop, pointer + offsets[i], &word, sizeof(word)) &&
		    word == tid)
			return offsets[i];
	return 0;
}

static uint64_t find_stack_end(const struct ml_step *step)
{
	ml_array_each (it, &step->maps->list)
		if (!strcmp(it->path, "[stack]"))
			return it->end;
	return 0;
}

static struct ml_error *map_tables(struct mapping *mapping)
{
	struct ml_agent_header *header = &mapping->header;
	struct ml_step *step = &mapping->step;
	ML_FD_CLEANUP int fd = -1;
	struct ml_error *error =
		ml_memory_make(step, header->pointer + offsetof(struct ml_agent_data, scratch),
			       mapping->size, &header->address, &fd);

	header->tid_offset = find_tid(step);
	header->stack_end = find_stack_end(step);
	header->main_tid = (uint32_t)ml_process_inner_pid(step->process);
	ml_stop_count(&step->stop, header);
	if (!error && !ml_stop_write(&step->stop, header->address, header, sizeof(*header)))
		error = ml_error_errno(errno, "cannot write into process %d", step->pid);
	return error ? error : ml_descriptor_send(mapping->socket, fd);
}

/* Asked with the main thread seized by us: nobody else can be attaching now. */
static struct ml_error *check_alone(const struct ml_step *step)
{
	ml_array_each (it, &step->maps->list)
		if (ml_memory_is(step->process, it))
			return ml_error_new(ML_ERROR_TARGET,
					    "another memleak is attaching to process %d",
					    step->pid);
	return NULL;
}

static void unmap_all(struct mapping *mapping)
{
	struct ml_agent_header *header = &mapping->header;

	ml_step_munmap(&mapping->step, header->address, mapping->size);
	if (mapping->is_inherited)
		return;
	for (uint32_t i = 0; i < ml_agent_islands(header); i++)
		ml_step_munmap(&mapping->step, header->islands[i].start, header->islands[i].size);
	ml_step_munmap(&mapping->step, header->image.start, header->image.size);
}

static struct ml_error *map_parts(struct mapping *mapping)
{
	struct ml_error *error = NULL;

	if (mapping->is_inherited)
		error = ml_image_renew(&mapping->step, &mapping->header);
	else
		error = ml_image_map(&mapping->step, &mapping->header);
	if (!error && !mapping->is_inherited)
		error = ml_islands_map(&mapping->step, &mapping->header, mapping->used,
				       mapping->functions, mapping->count);
	return error ? error : map_tables(mapping);
}

/* With the main thread stopped, or in a crowd all of them; what can be done before is. */
static struct ml_error *map_all(void *context)
{
	struct mapping *mapping = context;
	struct ml_step *step = &mapping->step;
	struct ml_maps maps = {0};
	pid_t only = ml_running_is_crowd(step->pid) ? 0 : step->pid;
	struct ml_error *error = ml_step_seize(step, only, &maps);

	if (!error)
		error = check_alone(step);
	if (!error)
		error = ml_injection_check_room(step->pid, mapping->size);
	if (!error)
		error = ml_step_stop(step);
	if (!error) {
		mapping->header.denied = ml_step_denied(step);
		error = map_parts(mapping);
		if (error)
			unmap_all(mapping);
		ml_stop_end(&step->stop);
	}
	ml_step_leave(step, &maps);
	return error;
}

static struct ml_error *open_memory(struct ml_injection *injection, int fd)
{
	void *memory = mmap(NULL, injection->size, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_NORESERVE, fd, 0);

	if (memory == MAP_FAILED)
		return ml_error_errno(errno,
				      "cannot map the agent's memory, %zu MiB of addresses (see "
				      "ulimit -v)",
				      injection->size >> 20);
	/* Tells other tools that this one lives; none needs to know more where that is not
	 * possible. */
	flock(fd, LOCK_EX | LOCK_NB);
	injection->memory = memory;
	injection->fd = fd;
	return NULL;
}

/* What was mapped and cannot be used. */
static void take_out(const struct ml_process *process)
{
	struct ml_injection_left left;
	struct ml_error *error = ml_injection_find(process, &left);

	if (!error && left.kind == ML_INJECTION_STALE)
		error = ml_injection_remove_left(process, &left);
	ml_error_free(error); /* the next memleak that comes tries again */
}

/* Has it mapped, by a process that sends the memory's descriptor. */
static struct ml_error *run(struct mapping *mapping, struct ml_injection *out)
{
	int sockets[2];
	struct ml_error *error;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets))
		return ml_error_errno(errno, "cannot make a socket pair");
	mapping->socket = sockets[1];
	ml_filter_watch_begin(&out->filters, mapping->step.pid);
	error = ml_step_run(mapping->step.process, map_all, mapping);

	int fd = ml_descriptor_receive(sockets[0]);

	close(sockets[0]);
	close(sockets[1]);
	if (!error) {
		error = fd < 0 ? ml_error_new(ML_ERROR_SYSTEM,
					      "the agent's memory did not arrive: too many open "
					      "files? (ulimit -n)")
			       : open_memory(out, fd);
		if (error)
			take_out(mapping->step.process);
	}
	if (error) {
		ml_filter_watch_free(&out->filters);
		ml_fd_close(&fd);
	}
	return error;
}

static struct ml_injection nothing_yet(const struct ml_process *process, size_t size)
{
	struct ml_injection injection = {.process = process, .size = size, .fd = -1};

	/* The first slot of an island is its own. */
	for (size_t i = 0; i < ML_AGENT_ISLANDS; i++)
		injection.used[i] = 1;
	return injection;
}

struct ml_error *ml_injection_map(const struct ml_process *process,
				  const struct ml_injection_function *functions, size_t count,
				  size_t size, struct ml_injection *out)
{
	struct mapping mapping = {
		.functions = functions,
		.count = count,
		.used = out->used,
		.size = size,
		.header = {.magic = ML_AGENT_MAGIC, .version = ML_AGENT_VERSION, .size = size},
	};
	struct ml_error *error = ml_step_prepare(process, &mapping.step);

	*out = nothing_yet(process, size);
	ml_image_look();
	return error ? error : run(&mapping, out);
}

/* ---- forked children --------------------------------------------------------------------------
 */

static bool is_mapped(const struct ml_process *process, uint64_t address)
{
	struct ml_maps maps = {0};
	ML_ERROR_CLEANUP struct ml_error *error = ml_process_maps(process, &maps);
	bool is_there = !error && ml_maps_find(&maps, address);

	ml_maps_deinit(&maps);
	return is_there;
}

bool ml_injection_is_inherited(const struct ml_process *process, const struct ml_injection *parent)
{
	struct ml_agent_image_header image;
	uint64_t pointer = 1;

	if (!parent->memory ||
	    !ml_process_read(process, parent->memory->header.image.start + ML_AGENT_IMAGE_CODE,
			     &image, sizeof(image)) ||
	    image.magic != ML_AGENT_MAGIC)
		return false;
	/* What appears by growth may not be there yet. It is not tried by reading: below what grows
	 * Linux 6.5 puts a trace into its log (gup_vma_lookup() in mm/gup.c). */
	if (parent->memory->header.grows && !is_mapped(process, parent->memory->header.pointer))
		return true;
	return ml_process_read(process, parent->memory->header.pointer, &pointer,
			       sizeof(pointer)) &&
	       !pointer;
}

/* The patches a child has: its parent may have got more meanwhile. */
static void take_patches(const struct ml_process *process, struct ml_agent_header *header)
{
	uint32_t count = ml_agent_patches(header);

	header->patch_count = 0;
	for (uint32_t i = 0; i < count; i++) {
		const struct ml_agent_patch *patch = &header->patches[i];
		uint8_t now[sizeof(patch->patched)];

		if (patch->size <= sizeof(now) &&
		    ml_process_read(process, patch->address, now, patch->size) &&
		    !memcmp(now, patch->patched, patch->size))
			header->patches[header->patch_count++] = *patch;
	}
}

struct ml_error *ml_injection_adopt(const struct ml_process *process,
				    const struct ml_injection *parent, struct ml_injection *out)
{
	struct mapping mapping = {
		.is_inherited = true, .size = parent->size, .header = parent->memory->header};
	struct ml_error *error = ml_step_prepare(process, &mapping.step);

	*out = nothing_yet(process, parent->size);
	memcpy(out->used, parent->used, sizeof(out->used));
	mapping.header.address = 0;
	mapping.header.mode = ML_AGENT_OFF;
	take_patches(process, &mapping.header);
	return error ? error : run(&mapping, out);
}

struct ml_error *ml_injection_wake(struct ml_injection *injection)
{
	struct ml_agent_header *header = &injection->memory->header;

	__atomic_store_n(&header->mode, ML_AGENT_ON, __ATOMIC_RELEASE);
	/* One aligned word comes last: threads may run. */
	if (!ml_image_fill_sieve(injection->process, header) ||
	    !ml_process_write(injection->process, header->pointer, &header->address,
			      sizeof(header->address)))
		return ml_error_errno(errno, "cannot write into process %d",
				      ml_process_pid(injection->process));
	return NULL;
}

/* ---- more functions ---------------------------------------------------------------------------
 */

struct extension {
	struct ml_step step;
	struct ml_injection *injection;
	const struct ml_injection_function *functions;
	size_t count;
};

static struct ml_error *extend(void *context)
{
	struct extension *extension = context;
	struct ml_injection *injection = extension->injection;
	struct ml_step *step = &extension->step;
	struct ml_maps maps = {0};
	struct ml_error *error = ml_step_seize(step, step->pid, &maps);

	if (!error)
		error = ml_step_stop(step);
	if (!error) {
		error = ml_islands_map(step, &injection->memory->header, injection->used,
				       extension->functions, extension->count);
		ml_stop_end(&step->stop);
		ml_stop_count(&step->stop, &injection->memory->header);
	}
	ml_step_leave(step, &maps);
	return error;
}

static bool has_room(const struct ml_injection *injection,
		     const struct ml_injection_function *functions, size_t count)
{
	const struct ml_agent_header *header = &injection->memory->header;
	uint32_t islands = ml_agent_islands(header);

	/* Enough on one island in reach of all is the usual case; else it is looked at closely. */
	for (uint32_t k = 0; k < islands; k++) {
		bool is_near = injection->used[k] + count <= ML_ISLAND_SLOTS;

		for (size_t i = 0; i < count && is_near; i++)
			is_near = functions[i].is_by_imports ||
				  ml_is_in_reach(header->islands[k].start, functions[i].address);
		if (is_near)
			return true;
	}
	return false;
}

struct ml_error *ml_injection_extend(struct ml_injection *injection,
				     const struct ml_injection_function *functions, size_t count)
{
	struct extension extension = {
		.injection = injection, .functions = functions, .count = count};
	struct ml_error *error;

	if (has_room(injection, functions, count))
		return NULL;
	error = ml_step_prepare(injection->process, &extension.step);
	extension.injection = injection;
	return error ? error : ml_step_run(injection->process, extend, &extension);
}

bool ml_injection_has_room(const struct ml_injection *injection)
{
	return ml_memory_has_room(injection->fd, LOW_ROOM_BYTES);
}

/* ---- a filter that comes later ----------------------------------------------------------------
 */

struct check {
	struct ml_step step;
	uint32_t *denied;
};

static struct ml_error *check_filter(void *context)
{
	struct check *check = context;
	struct ml_step *step = &check->step;
	struct ml_error *error = ml_step_seize(step, 0, NULL);

	if (!error)
		error = ml_step_stop(step);
	if (!error) {
		*check->denied = ml_step_denied(step);
		ml_stop_end(&step->stop);
	}
	ml_step_leave(step, NULL);
	return error;
}

void ml_injection_watch_filter(struct ml_injection *injection)
{
	struct ml_agent_header *header = &injection->memory->header;
	pid_t pid = ml_process_pid(injection->process);
	struct check check = {.denied = &header->denied};
	bool is_news;
	struct ml_error *error;

	if (header->mode != ML_AGENT_ON || ml_process_is_held(injection->process))
		return;
	is_news = __atomic_exchange_n(&header->is_suspect, 0, __ATOMIC_ACQUIRE);
	if (!ml_filter_watch_look(&injection->filters, pid) && !is_news)
		return;
	ml_filter_watch_begin(&injection->filters, pid);
	error = ml_step_prepare(injection->process, &check.step);
	if (!error)
		error = ml_step_run(injection->process, check_filter, &check);
	if (error) {
		/* It could not be looked at: all is news the next time. */
		header->denied = ML_AGENT_CALLS_ALL;
		ml_filter_watch_free(&injection->filters);
	}
	ml_error_free(error);
}

void ml_injection_close(struct ml_injection *injection)
{
	ml_filter_watch_free(&injection->filters);
	if (!injection->memory)
		return;
	munmap(injection->memory, injection->size);
	injection->memory = NULL;
	ml_fd_close(&injection->fd);
}

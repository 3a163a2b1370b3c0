/* SPDX-License-Identifier: BSD-2-Clause */
/** The tracer for processes: programs in the kernel keep the books, this file reads and feeds them.
 */
#include "base/array.h"
#include "base/file.h"
#include "trace/bpf_calls.h"
#include "trace/bpf_cost.h"
#include "trace/bpf_give.h"
#include "trace/bpf_loader.h"
#include "trace/bpf_loads.h"
#include "trace/bpf_meter.h"
#include "trace/bpf_object.h"
#include "trace/bpf_processes.h"
#include "trace/libc_internals.h"
#include "trace/map_books.h"
#include "trace/mapping_watch.h"
#include "trace/takeover.h"
#include "trace/tracer.h"
#include "user.skel.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/* How long the end waits for the links of processes that are gone. */
#define LINKS_LIMIT_MS 20000

struct bpf_tracer {
	struct ml_tracer tracer;
	const struct ml_tracer_options *options;
	struct ml_user_bpf *skeleton;
	struct ml_bpf_processes processes;
	struct ml_bpf_meter meter;
	/* NULL where perf does not let us: maps are read at snapshots. */
	struct ml_mapping_watch *watch;
	struct ring_buffer *map_ring;
	struct ml_bpf_calls *calls;
	struct ml_bpf_loads *loads;
	ML_ARRAY(pid_t) news;  /* processes whose maps changed */
	ML_ARRAY(pid_t) execs; /* processes that run a new program */
	uint64_t records_lost;
	int epoll_fd;
};

static struct bpf_tracer *self(struct ml_tracer *tracer)
{
	return (struct bpf_tracer *)tracer;
}

static struct ml_bpf_process *process_of(const struct bpf_tracer *tracer, pid_t pid)
{
	return ml_bpf_processes_find(&tracer->processes, pid);
}

/* ---- processes --------------------------------------------------------------------------------
 */

static struct ml_error *tracer_add_process(struct ml_tracer *tracer, struct ml_process *target)
{
	return ml_bpf_processes_add(&self(tracer)->processes, target);
}

static struct ml_error *tracer_refresh_process(struct ml_tracer *base, pid_t pid)
{
	struct bpf_tracer *tracer = self(base);
	struct ml_bpf_process *process = process_of(tracer, pid);

	return process && process->is_attached ? ml_bpf_processes_look(&tracer->processes, process)
					       : NULL;
}

static void tracer_remove_process(struct ml_tracer *tracer, pid_t pid, bool keep)
{
	ml_bpf_processes_remove(&self(tracer)->processes, pid, keep);
}

static struct ml_error *tracer_renew_process(struct ml_tracer *base, struct ml_process *target)
{
	struct bpf_tracer *tracer = self(base);
	struct ml_bpf_process *process = process_of(tracer, ml_process_pid(target));

	return process && process->process == target && process->is_attached
		       ? ml_bpf_processes_renew(&tracer->processes, process)
		       : ml_bpf_processes_add(&tracer->processes, target);
}

static const struct ml_stack *tracer_stack(struct ml_tracer *tracer, uint64_t id)
{
	return ml_bpf_processes_stack(&self(tracer)->processes, id);
}

/* An exec that was not told in time. */
static void begin_anew(struct bpf_tracer *tracer, pid_t pid)
{
	struct ml_bpf_process *process = process_of(tracer, pid);

	if (!process || !process->is_attached || ml_bpf_process_is_same_image(process))
		return;

	ML_ERROR_CLEANUP struct ml_error *error =
		ml_bpf_processes_renew(&tracer->processes, process);

	if (error && ml_error_kind(error) != ML_ERROR_UNSUPPORTED) {
		error = ml_error_wrap(error, "process %d runs a new program, which is not traced",
				      pid);
		ml_tracer_note(tracer->options, ml_error_message(error));
	}
}

/* ---- news -------------------------------------------------------------------------------------
 */

static void hear(void *context, pid_t pid, bool is_exec)
{
	struct bpf_tracer *tracer = context;
	struct ml_bpf_process *process = process_of(tracer, pid);

	if (!process || !process->is_attached)
		return;
	if (is_exec)
		*ml_array_push(&tracer->execs) = pid;
	else if (!tracer->news.count || tracer->news.items[tracer->news.count - 1] != pid)
		*ml_array_push(&tracer->news) = pid;
}

static void look_again(struct bpf_tracer *tracer, pid_t pid)
{
	struct ml_bpf_process *process = process_of(tracer, pid);
	bool is_late =
		process && process->code.mapped_count && (process->was_late || !process->loader);
	size_t probed = process ? process->probed.count : 0;
	ML_ERROR_CLEANUP struct ml_error *error = tracer_refresh_process(&tracer->tracer, pid);

	/* Of a library whose code may have run meanwhile. */
	if (is_late && process->probed.count > probed)
		process->late += process->probed.count - probed;
	/* Gone in between is no news; the rest is said. */
	if (error && ml_error_kind(error) != ML_ERROR_TARGET &&
	    ml_error_kind(error) != ML_ERROR_UNSUPPORTED && ml_process_is_alive(process->process))
		ml_tracer_note(tracer->options, ml_error_message(error));
}

static void read_news(struct bpf_tracer *tracer)
{
	if (tracer->watch)
		tracer->records_lost += ml_mapping_watch_read(tracer->watch, hear, tracer);
	for (size_t i = 0; i < tracer->execs.count; i++)
		begin_anew(tracer, tracer->execs.items[i]);
	for (size_t i = 0; i < tracer->news.count; i++)
		look_again(tracer, tracer->news.items[i]);
	tracer->execs.count = tracer->news.count = 0;
}

/* The dynamic loader of @pid waits to go on. */
static void hear_load(void *context, pid_t pid, bool went_on)
{
	struct bpf_tracer *tracer = context;
	struct ml_bpf_process *process = process_of(tracer, pid);

	if (process)
		process->was_late = went_on;
	read_news(tracer);
	look_again(tracer, pid);
	if (process)
		process->was_late = false;
}

/* Without news (no perf, or records lost) every process is looked at. */
static void look_everywhere(struct bpf_tracer *tracer)
{
	for (size_t i = 0; i < tracer->processes.list.count; i++) {
		struct ml_bpf_process *process = tracer->processes.list.items[i];

		if (!process->is_attached || !ml_process_is_alive(process->process))
			continue;
		begin_anew(tracer, process->pid);
		look_again(tracer, process->pid);
	}
}

/* A call of a static program's own C library: told by the caller's name, which is not known of an
 * munmap. */
static bool is_library_mapping(struct bpf_tracer *tracer, const struct ml_map_event *event)
{
	const struct ml_bpf_process *process = process_of(tracer, (pid_t)event->tgid);

	if (event->role == ML_ROLE_MUNMAP)
		return process && ml_code_map_is_static(&process->code);
	return event->stack &&
	       ml_libc_internal_stack(ml_bpf_processes_stack(&tracer->processes, event->stack));
}

static int take_map_event(void *context, void *data, size_t size)
{
	struct bpf_tracer *tracer = context;
	struct ml_map_event event;

	if (size < sizeof(event))
		return 0;
	memcpy(&event, data, sizeof(event));
	event.is_library = is_library_mapping(tracer, &event);
	ml_map_books_add(tracer->processes.map_books, &event);
	return 0;
}

static int tracer_event_fd(struct ml_tracer *tracer)
{
	return self(tracer)->epoll_fd;
}

static void tracer_dispatch(struct ml_tracer *base,
			    void (*sink)(void *context, const struct ml_traced_call *call),
			    void *context)
{
	struct bpf_tracer *tracer = self(base);

	/* First: names can go any moment, and looking at new mappings takes long. */
	ml_bpf_python_dispatch(tracer->processes.python);
	/* Not while a command is being started, when nobody listens. */
	if (!tracer->processes.loads)
		ml_bpf_processes_listen(&tracer->processes, tracer->loads);
	ml_bpf_loads_dispatch(tracer->loads);
	read_news(tracer);
	ring_buffer__consume(tracer->map_ring);
	if (tracer->calls && sink) {
		ml_bpf_calls_set_functions(tracer->calls, tracer->processes.functions.list.items,
					   tracer->processes.functions.list.count);
		ml_bpf_calls_dispatch(tracer->calls, sink, context);
	}
}

/* ---- snapshots --------------------------------------------------------------------------------
 */

static void add_counters(struct bpf_tracer *tracer, struct ml_snapshot *out)
{
	struct ml_bpf_cost cost;

	ml_bpf_cost_read(tracer->skeleton->obj, &cost);
	out->counters[ML_COUNTER_CALLS_MISSED] += cost.missed;
	ml_bpf_processes_count(&tracer->processes, out);
}

static struct ml_error *tracer_snapshot(struct ml_tracer *base,
					const struct ml_snapshot_filter *filter,
					struct ml_snapshot *out)
{
	struct bpf_tracer *tracer = self(base);

	ml_bpf_python_dispatch(tracer->processes.python);
	read_news(tracer);
	if (!tracer->watch || tracer->records_lost) {
		tracer->records_lost = 0;
		look_everywhere(tracer);
	}
	ring_buffer__consume(tracer->map_ring);
	ml_bpf_processes_take_python(&tracer->processes);
	ml_map_books_settle(tracer->processes.map_books);

	struct ml_error *error = ml_bpf_books_snapshot(&tracer->processes.books, filter, out);

	if (error)
		return error;
	ml_map_books_snapshot(tracer->processes.map_books, filter, out);
	add_counters(tracer, out);
	return NULL;
}

static void tracer_cost(struct ml_tracer *base, struct ml_tracer_cost *out)
{
	size_t first = 0;
	bool is_idle = !ml_bpf_tracer_process(base, &first);

	ml_bpf_meter_read(&self(base)->meter, is_idle, out);
}

/* ---- processes that another tracer takes over -------------------------------------------------
 */

struct ml_process *ml_bpf_tracer_process(struct ml_tracer *base, size_t *number)
{
	const struct bpf_tracer *tracer = self(base);

	while (*number < tracer->processes.list.count) {
		const struct ml_bpf_process *process = tracer->processes.list.items[(*number)++];

		if (process->is_attached && ml_bpf_process_has_probes(process) &&
		    ml_process_is_alive(process->process))
			return process->process;
	}
	return NULL;
}

void ml_bpf_tracer_prepare(struct ml_tracer *base)
{
	self(base)->skeleton->bss->processes_move = 1;
}

void ml_bpf_tracer_let_go(struct ml_tracer *base, pid_t pid)
{
	uint32_t key = (uint32_t)pid;

	bpf_map_delete_elem(self(base)->processes.attach.processes_fd, &key);
}

struct ml_error *ml_bpf_tracer_give(struct ml_tracer *base, pid_t pid, ml_prior_blocks *blocks,
				    struct ml_map_books *maps)
{
	struct bpf_tracer *tracer = self(base);
	struct ml_bpf_process *process = process_of(tracer, pid);

	/* First: taking stacks may look at its code again, and tell the programs of it. */
	ml_bpf_process_detach(process, &tracer->processes.attach, true);
	ring_buffer__consume(tracer->map_ring);
	ml_bpf_processes_take_stacks_of(&tracer->processes, pid);
	ml_map_books_give(tracer->processes.map_books, pid, maps);
	return ml_bpf_give(&tracer->processes.books, pid, blocks);
}

bool ml_bpf_tracer_settle(struct ml_tracer *base, unsigned int limit_ms)
{
	return !ml_link_keeper_drain(self(base)->processes.attach.keeper, limit_ms);
}

void ml_bpf_tracer_drop(struct ml_tracer *base, pid_t pid)
{
	struct bpf_tracer *tracer = self(base);
	struct ml_bpf_process *process = process_of(tracer, pid);

	if (process && process->is_attached)
		ml_bpf_process_detach(process, &tracer->processes.attach, false);
}

void ml_bpf_tracer_each_stack(struct ml_tracer *base, pid_t pid,
			      void (*visit)(void *context, uint64_t id,
					    const struct ml_stack_record *record),
			      void *context)
{
	ml_bpf_books_each_stack(&self(base)->processes.books, pid, visit, context);
}

/* ---- life -------------------------------------------------------------------------------------
 */

static void tracer_detach(struct ml_tracer *base)
{
	struct bpf_tracer *tracer = self(base);

	ml_bpf_processes_take_stacks(&tracer->processes);
	for (size_t i = 0; i < tracer->processes.list.count; i++)
		if (tracer->processes.list.items[i]->is_attached)
			ml_bpf_process_detach(tracer->processes.list.items[i],
					      &tracer->processes.attach, true);

	size_t left = ml_link_keeper_drain(tracer->processes.attach.keeper, LINKS_LIMIT_MS);
	char text[128];

	if (!left)
		return;
	snprintf(text, sizeof(text), "%zu probe links are still being closed by the kernel", left);
	ml_tracer_note(tracer->options, text);
}

static void tracer_destroy(struct ml_tracer *base)
{
	struct bpf_tracer *tracer = self(base);

	ml_array_free(&tracer->news);
	ml_array_free(&tracer->execs);
	ml_mapping_watch_close(tracer->watch);
	ml_bpf_calls_close(tracer->calls);
	ml_bpf_loads_close(tracer->loads);
	ring_buffer__free(tracer->map_ring);
	ml_bpf_processes_deinit(&tracer->processes);
	ml_user_bpf__destroy(tracer->skeleton);
	ml_fd_close(&tracer->epoll_fd);
	ml_bpf_log_stop();
	free(tracer);
}

/* Probes stay. But only multi links can have the loader of the next program wait until its modules
 * are known (see choose_programs() in bpf_loader.c). */
static bool tracer_outlives_exec(struct ml_tracer *base)
{
	return self(base)->processes.attach.kind != ML_LINK_PERF;
}

static const struct ml_tracer_ops bpf_ops = {
	.name = "bpf",
	.outlives_exec = tracer_outlives_exec,
	.add_process = tracer_add_process,
	.refresh_process = tracer_refresh_process,
	.renew_process = tracer_renew_process,
	.remove_process = tracer_remove_process,
	.snapshot = tracer_snapshot,
	.stack = tracer_stack,
	.event_fd = tracer_event_fd,
	.dispatch = tracer_dispatch,
	.cost = tracer_cost,
	.detach = tracer_detach,
	.destroy = tracer_destroy,
};

static struct ml_error *add_to_epoll(struct bpf_tracer *tracer, int fd)
{
	struct epoll_event event = {.events = EPOLLIN};

	if (epoll_ctl(tracer->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
		return ml_error_errno(errno, "cannot wait for the kernel's events");
	return NULL;
}

/* Mappings can also be learnt by looking, so a machine without perf events is no failure. */
static struct ml_error *open_watch(struct bpf_tracer *tracer)
{
	ML_ERROR_CLEANUP struct ml_error *error = ml_mapping_watch_open(&tracer->watch);

	if (!error)
		return add_to_epoll(tracer, ml_mapping_watch_fd(tracer->watch));
	if (tracer->options->verbose)
		ml_tracer_note(tracer->options, ml_error_message(error));
	return NULL;
}

static struct ml_error *open_events(struct bpf_tracer *tracer)
{
	struct ml_user_bpf *skeleton = tracer->skeleton;
	struct ml_error *error;

	tracer->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (tracer->epoll_fd < 0)
		return ml_error_errno(errno, "cannot make an epoll descriptor");
	tracer->map_ring = ring_buffer__new(bpf_map__fd(skeleton->maps.map_events), take_map_event,
					    tracer, NULL);
	if (!tracer->map_ring)
		return ml_error_errno(errno, "cannot map the ring of mmap events");
	error = add_to_epoll(tracer, ring_buffer__epoll_fd(tracer->map_ring));
	if (!error)
		error = add_to_epoll(tracer, ml_bpf_python_fd(tracer->processes.python));
	if (!error)
		error = ml_bpf_loads_open(bpf_map__fd(skeleton->maps.loads_heard),
					  bpf_map__fd(skeleton->maps.load_events), hear_load,
					  tracer, &tracer->loads);
	if (!error)
		error = add_to_epoll(tracer, ml_bpf_loads_fd(tracer->loads));
	if (!error)
		error = open_watch(tracer);
	if (error || !tracer->options->trace_calls)
		return error;
	error = ml_bpf_calls_open(bpf_map__fd(skeleton->maps.call_events), NULL, 0, &tracer->calls);
	return error ? error : add_to_epoll(tracer, ml_bpf_calls_fd(tracer->calls));
}

static struct ml_error *start(struct bpf_tracer *tracer)
{
	struct ml_bpf_loaded loaded;
	struct ml_error *error = ml_bpf_load_user(tracer->options, &loaded);

	if (error)
		return error;
	tracer->skeleton = loaded.skeleton;
	error = ml_bpf_processes_init(&tracer->processes, tracer->options, &loaded);
	if (error)
		return error;
	error = ml_bpf_meter_init(&tracer->meter, loaded.skeleton->obj, &tracer->processes.books,
				  loaded.kind);
	/* Not permitted, or not there: it would be no better with a target. Other reasons are of
	 * our own file. */
	if (error && (ml_error_code(error) == EPERM || ml_error_code(error) == EACCES ||
		      ml_error_code(error) == ENOSYS))
		return error;
	ml_error_free(error);
	return open_events(tracer);
}

struct ml_error *ml_bpf_tracer_create(const struct ml_tracer_options *options,
				      struct ml_tracer **out)
{
	struct ml_error *error = ml_bpf_support();

	if (error)
		return error;

	struct bpf_tracer *tracer = ml_alloc(sizeof(*tracer));

	tracer->tracer.ops = &bpf_ops;
	tracer->options = options;
	tracer->epoll_fd = -1;
	ml_bpf_log_start(options);
	error = start(tracer);
	if (error) {
		tracer_destroy(&tracer->tracer);
		return error;
	}
	*out = &tracer->tracer;
	return NULL;
}

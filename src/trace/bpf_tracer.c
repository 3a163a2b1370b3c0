/* SPDX-License-Identifier: BSD-2-Clause */
/** The tracer for processes: programs in the kernel keep the books, this file reads and feeds them.
 */
#include "base/array.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/u64map.h"
#include "trace/agent_left.h"
#include "trace/bpf_books.h"
#include "trace/bpf_calls.h"
#include "trace/bpf_cost.h"
#include "trace/bpf_forget.h"
#include "trace/bpf_give.h"
#include "trace/bpf_loader.h"
#include "trace/bpf_loads.h"
#include "trace/bpf_object.h"
#include "trace/bpf_process.h"
#include "trace/bpf_python.h"
#include "trace/libc_internals.h"
#include "trace/map_books.h"
#include "trace/mapping_watch.h"
#include "trace/stack_store.h"
#include "trace/takeover.h"
#include "trace/tracer.h"
#include "trace/trap_cost.h"
#include "user.skel.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/* How long the cost is measured at each report. */
#define COST_WINDOW_US 10000

/* How often maps are read again for code that nobody told of. */
#define LOOK_INTERVAL_NS (100 * ML_NS_PER_MS)

/* How long the end waits for the links of processes that are gone. */
#define LINKS_LIMIT_MS 20000

struct bpf_tracer {
	struct ml_tracer tracer;
	const struct ml_tracer_options *options;
	struct ml_user_bpf *skeleton;
	struct ml_bpf_books books;
	struct ml_bpf_attach attach;
	struct ml_function_names functions;
	struct ml_map_books *map_books;
	struct ml_stack_store *stacks;
	struct ml_mapping_watch
		*watch; /* NULL where perf does not let us: maps are read at snapshots */
	struct ring_buffer *map_ring;
	struct ml_bpf_python *python;
	struct ml_bpf_calls *calls;
	struct ml_bpf_loads *loads;
	bool hears_loads; /* since its first dispatch */
	ML_ARRAY(struct ml_bpf_process *) processes;
	ML_ARRAY(pid_t) news; /* processes whose maps changed */
	ML_ARRAY(pid_t) execs;
	uint64_t records_lost;
	int epoll_fd;
	double trap_ns;  /* < 0: unknown */
	double event_ns; /* what one probe hit costs, by the last measurement; < 0: unknown */
	double cost_s;   /* of the events counted, by what they cost at the time */
	uint64_t cost_events;
};

static struct bpf_tracer *self(struct ml_tracer *tracer)
{
	return (struct bpf_tracer *)tracer;
}

static void note(const struct bpf_tracer *tracer, const char *text)
{
	if (tracer->options->note)
		tracer->options->note(tracer->options->note_context, text);
}

static struct ml_bpf_process *process_of(const struct bpf_tracer *tracer, pid_t pid)
{
	/* The newest first: a pid can come back. */
	for (size_t i = tracer->processes.count; i-- > 0;)
		if (tracer->processes.items[i]->pid == pid)
			return tracer->processes.items[i];
	return NULL;
}

/* ---- stacks -----------------------------------------------------------------------------------
 */

static void resolve_all(void *context);

static bool has_unknown_code(const struct ml_bpf_process *process,
			     const struct ml_stack_record *record)
{
	for (uint32_t i = 0; i < record->count && i < ML_STACK_DEPTH; i++) {
		uint64_t entry = record->ip[i];

		/* An interpreted method is no code. */
		if (!(entry & ML_STACK_JAVA_INTERPRETED) &&
		    !ml_code_map_find(&process->code, entry & ML_STACK_ADDRESS_MASK))
			return true;
	}
	return false;
}

/* News of memory without a file are not listened to, since JIT compilers map it all the time: what
 * they compiled is found when a stack runs through it. */
static void learn_code(struct bpf_tracer *tracer, struct ml_bpf_process *process,
		       const struct ml_stack_record *record)
{
	uint64_t now_ns = ml_monotonic_ns();

	if (!process->is_attached || now_ns - process->looked_ns < LOOK_INTERVAL_NS ||
	    !has_unknown_code(process, record))
		return;
	process->looked_ns = now_ns;
	ml_error_free(ml_bpf_process_look(process, &tracer->attach, resolve_all, tracer));
}

static const struct ml_stack *resolve_stack(struct bpf_tracer *tracer, uint64_t id)
{
	const struct ml_stack *stack = ml_stack_store_get(tracer->stacks, id);
	struct ml_stack_record record;

	if (stack || !ml_bpf_books_stack(&tracer->books, id, &record))
		return stack;

	struct ml_bpf_process *process = process_of(tracer, (pid_t)record.tgid);

	if (!process)
		return ml_stack_store_add(tracer->stacks, id, &record, NULL, NULL, NULL);

	/* Which may resolve this stack, too. */
	learn_code(tracer, process, &record);
	stack = ml_stack_store_get(tracer->stacks, id);
	if (stack)
		return stack;

	ML_FREE_CLEANUP struct ml_python_stack *python =
		ml_bpf_python_take(tracer->python, process, id);

	return ml_java_process_add(&process->java, process->is_attached ? process->process : NULL,
				   tracer->stacks, id, &record, &process->code, python);
}

static const struct ml_stack *tracer_stack(struct ml_tracer *tracer, uint64_t id)
{
	return resolve_stack(self(tracer), id);
}

/* Names the addresses of all stacks while the code they run through is still known. */
static void resolve_all(void *context)
{
	struct bpf_tracer *tracer = context;
	uint64_t id, next;
	int more = bpf_map_get_next_key(tracer->books.stacks_fd, NULL, &next);

	while (!more) {
		id = next;
		resolve_stack(tracer, id);
		more = bpf_map_get_next_key(tracer->books.stacks_fd, &id, &next);
	}
}

static void resolve_one(void *context, uint64_t id, const struct ml_stack_record *record)
{
	(void)record;
	resolve_stack(context, id);
}

/* The same for the stacks of one process. */
static void resolve_of(struct bpf_tracer *tracer, pid_t pid)
{
	ml_bpf_books_each_stack(&tracer->books, pid, resolve_one, tracer);
}

/* Puts the stacks with Python functions together, so that their parts need not be kept. */
static void resolve_python(struct bpf_tracer *tracer)
{
	struct ml_stack_ids ids = {0};

	ml_bpf_python_list(tracer->python, &ids);
	ml_array_each (id, &ids) {
		if (resolve_stack(tracer, *id))
			ml_bpf_python_forget(tracer->python, *id);
	}
	ml_array_free(&ids);
}

static void hear_names(void *context, const struct ml_name_event *event)
{
	struct bpf_tracer *tracer = context;
	struct ml_bpf_process *process = process_of(tracer, (pid_t)event->tgid);

	struct ml_stack_record record;

	if (!process)
		return;
	ml_bpf_python_name(tracer->python, process, event->stack);
	if (ml_bpf_books_stack(&tracer->books, event->stack, &record))
		ml_java_process_name(&process->java, process->is_attached ? process->process : NULL,
				     &record);
}

/* ---- processes --------------------------------------------------------------------------------
 */

static struct ml_error *look(struct bpf_tracer *tracer, struct ml_bpf_process *process)
{
	return ml_bpf_process_look(process, &tracer->attach, resolve_all, tracer);
}

static struct ml_bpf_process *begin_process(struct bpf_tracer *tracer, struct ml_process *target)
{
	struct ml_bpf_process *process = ml_alloc(sizeof(*process));

	process->process = target;
	process->pid = ml_process_pid(target);
	process->is_attached = true;
	*ml_array_push(&tracer->processes) = process;
	return process;
}

static struct ml_error *attach_process(struct bpf_tracer *tracer, struct ml_bpf_process *process)
{
	struct ml_error *error = look(tracer, process);

	if (!error && !ml_bpf_process_has_probes(process))
		error = ml_bpf_process_no_allocator(process, &tracer->attach);
	if (error && ml_error_kind(error) != ML_ERROR_UNSUPPORTED)
		ml_bpf_process_detach(process, &tracer->attach, false);
	else if (tracer->hears_loads)
		ml_bpf_loads_listen(tracer->loads, process->pid);
	return error;
}

static struct ml_error *tracer_add_process(struct ml_tracer *base, struct ml_process *target)
{
	struct bpf_tracer *tracer = self(base);
	struct ml_bpf_process *process = process_of(tracer, ml_process_pid(target));

	if (!process || process->process != target || !process->is_attached) {
		struct ml_error *error = ml_agent_left_clean(target, tracer->options);

		if (error)
			return error;
		process = begin_process(tracer, target);
	}
	return attach_process(tracer, process);
}

static struct ml_error *tracer_refresh_process(struct ml_tracer *base, pid_t pid)
{
	struct bpf_tracer *tracer = self(base);
	struct ml_bpf_process *process = process_of(tracer, pid);

	return process && process->is_attached ? look(tracer, process) : NULL;
}

/* Everything booked of @pid is forgotten: its memory is gone. */
static void forget_books(struct bpf_tracer *tracer, pid_t pid)
{
	ml_bpf_forget(&tracer->books, pid);
	ml_map_books_forget(tracer->map_books, pid);
}

static void tracer_remove_process(struct ml_tracer *base, pid_t pid, bool keep)
{
	struct bpf_tracer *tracer = self(base);
	struct ml_bpf_process *process = process_of(tracer, pid);

	if (!process)
		return;
	if (keep)
		resolve_of(tracer, pid);
	if (process->is_attached)
		ml_bpf_process_detach(process, &tracer->attach,
				      !ml_process_is_alive(process->process));
	if (!keep)
		forget_books(tracer, pid);
}

/* A new program in an old process: the old one's memory is gone, its probes are the new one's. The
 * kernel would take a tenth of a second to take them out and put them in again. */
static struct ml_error *renew(struct bpf_tracer *tracer, struct ml_bpf_process *process)
{
	struct ml_process *target = process->process;
	struct ml_bpf_process *fresh;

	forget_books(tracer, process->pid);
	fresh = begin_process(tracer, target);
	ml_bpf_process_inherit(fresh, process);
	ml_bpf_process_detach(process, &tracer->attach, false);
	/* Its name as it was is better than none, when it is gone already. */
	ml_error_free(ml_process_refresh(target));
	return attach_process(tracer, fresh);
}

static struct ml_error *tracer_renew_process(struct ml_tracer *base, struct ml_process *target)
{
	struct bpf_tracer *tracer = self(base);
	struct ml_bpf_process *process = process_of(tracer, ml_process_pid(target));

	return process && process->process == target && process->is_attached
		       ? renew(tracer, process)
		       : tracer_add_process(base, target);
}

/* An exec that was not told in time. */
static void begin_anew(struct bpf_tracer *tracer, pid_t pid)
{
	struct ml_bpf_process *process = process_of(tracer, pid);

	if (!process || !process->is_attached || ml_bpf_process_is_same_image(process))
		return;

	ML_ERROR_CLEANUP struct ml_error *error = renew(tracer, process);

	if (error && ml_error_kind(error) != ML_ERROR_UNSUPPORTED) {
		error = ml_error_wrap(error, "process %d runs a new program, which is not traced",
				      pid);
		note(tracer, ml_error_message(error));
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
	ML_ERROR_CLEANUP struct ml_error *error = tracer_refresh_process(&tracer->tracer, pid);
	struct ml_bpf_process *process = process_of(tracer, pid);

	/* Gone in between is no news; the rest is said. */
	if (error && ml_error_kind(error) != ML_ERROR_TARGET &&
	    ml_error_kind(error) != ML_ERROR_UNSUPPORTED && ml_process_is_alive(process->process))
		note(tracer, ml_error_message(error));
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
static void hear_load(void *context, pid_t pid)
{
	struct bpf_tracer *tracer = context;

	read_news(tracer);
	look_again(tracer, pid);
}

/* From the first events on; not while a command is being started, when nobody listens. */
static void listen_to_loads(struct bpf_tracer *tracer)
{
	if (tracer->hears_loads)
		return;
	tracer->hears_loads = true;
	ml_array_each (process, &tracer->processes)
		if ((*process)->is_attached)
			ml_bpf_loads_listen(tracer->loads, (*process)->pid);
}

/* Without news (no perf, or records lost) every process is looked at. */
static void look_everywhere(struct bpf_tracer *tracer)
{
	for (size_t i = 0; i < tracer->processes.count; i++) {
		struct ml_bpf_process *process = tracer->processes.items[i];

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
	return event->stack && ml_libc_internal_stack(resolve_stack(tracer, event->stack));
}

static int take_map_event(void *context, void *data, size_t size)
{
	struct bpf_tracer *tracer = context;
	struct ml_map_event event;

	if (size < sizeof(event))
		return 0;
	memcpy(&event, data, sizeof(event));
	event.is_library = is_library_mapping(tracer, &event);
	ml_map_books_add(tracer->map_books, &event);
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
	ml_bpf_python_dispatch(tracer->python);
	listen_to_loads(tracer);
	ml_bpf_loads_dispatch(tracer->loads);
	read_news(tracer);
	ring_buffer__consume(tracer->map_ring);
	if (tracer->calls && sink) {
		ml_bpf_calls_set_functions(tracer->calls, tracer->functions.list.items,
					   tracer->functions.list.count);
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
	out->counters[ML_COUNTER_UNWIND_TABLE_FULL] +=
		ml_unwind_tables_refused(tracer->attach.unwind);
	for (size_t i = 0; i < tracer->processes.count; i++) {
		const struct ml_bpf_process *process = tracer->processes.items[i];

		out->counters[ML_COUNTER_MODULES_UNREADABLE] += process->code.unreadable;
		out->counters[ML_COUNTER_MAPPINGS_BEYOND_LIMIT] += process->beyond_limit;
		out->counters[ML_COUNTER_FUNCTIONS_NOT_PROBED] += process->not_probed;
	}
}

static struct ml_error *tracer_snapshot(struct ml_tracer *base,
					const struct ml_snapshot_filter *filter,
					struct ml_snapshot *out)
{
	struct bpf_tracer *tracer = self(base);

	ml_bpf_python_dispatch(tracer->python);
	read_news(tracer);
	if (!tracer->watch || tracer->records_lost) {
		tracer->records_lost = 0;
		look_everywhere(tracer);
	}
	ring_buffer__consume(tracer->map_ring);
	resolve_python(tracer);
	ml_map_books_settle(tracer->map_books);

	struct ml_error *error = ml_bpf_books_snapshot(&tracer->books, filter, out);

	if (error)
		return error;
	ml_map_books_snapshot(tracer->map_books, filter, out);
	add_counters(tracer, out);
	return NULL;
}

static uint64_t events_so_far(const struct bpf_tracer *tracer)
{
	uint64_t counters[ML_SLOT_COUNT];
	ML_ERROR_CLEANUP struct ml_error *error = ml_bpf_books_counters(&tracer->books, counters);

	return error ? 0 : counters[ML_SLOT_EVENTS];
}

/* What a probe hit costs now. The kernel's clock around each program is itself a tenth of the cost
 * in a virtual machine, so it runs for a moment only. An idle moment changes nothing. */
static void measure_cost(struct bpf_tracer *tracer)
{
	struct ml_bpf_cost before, after;
	size_t first = 0;
	bool measures = tracer->trap_ns >= 0 && ml_bpf_tracer_process(&tracer->tracer, &first);
	ML_FD_CLEANUP int stats_fd = measures ? ml_bpf_cost_start() : -1;

	if (stats_fd < 0)
		return;
	ml_bpf_cost_read(tracer->skeleton->obj, &before);

	uint64_t events = events_so_far(tracer);

	usleep(COST_WINDOW_US);
	events = events_so_far(tracer) - events;
	ml_bpf_cost_read(tracer->skeleton->obj, &after);
	if (events)
		tracer->event_ns = ((double)(after.run_ns - before.run_ns) +
				    (double)(after.runs - before.runs) * tracer->trap_ns) /
				   (double)events;
}

static void tracer_cost(struct ml_tracer *base, struct ml_tracer_cost *out)
{
	struct bpf_tracer *tracer = self(base);

	measure_cost(tracer);
	out->events = events_so_far(tracer);
	if (tracer->event_ns < 0) {
		out->target_cpu_s = out->events ? -1 : 0;
		return;
	}
	tracer->cost_s += (double)(out->events - tracer->cost_events) * tracer->event_ns / 1e9;
	tracer->cost_events = out->events;
	out->target_cpu_s = tracer->cost_s;
}

/* ---- processes that another tracer takes over -------------------------------------------------
 */

struct ml_process *ml_bpf_tracer_process(struct ml_tracer *base, size_t *number)
{
	const struct bpf_tracer *tracer = self(base);

	while (*number < tracer->processes.count) {
		const struct ml_bpf_process *process = tracer->processes.items[(*number)++];

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

	bpf_map_delete_elem(self(base)->attach.processes_fd, &key);
}

struct ml_error *ml_bpf_tracer_give(struct ml_tracer *base, pid_t pid, ml_prior_blocks *blocks,
				    struct ml_map_books *maps)
{
	struct bpf_tracer *tracer = self(base);
	struct ml_bpf_process *process = process_of(tracer, pid);

	/* First: resolving stacks may look at its code again, and tell the programs of it. */
	ml_bpf_process_detach(process, &tracer->attach, true);
	ring_buffer__consume(tracer->map_ring);
	resolve_of(tracer, pid);
	ml_map_books_give(tracer->map_books, pid, maps);
	return ml_bpf_give(&tracer->books, pid, blocks);
}

bool ml_bpf_tracer_settle(struct ml_tracer *base, unsigned int limit_ms)
{
	return !ml_link_keeper_drain(self(base)->attach.keeper, limit_ms);
}

void ml_bpf_tracer_drop(struct ml_tracer *base, pid_t pid)
{
	struct bpf_tracer *tracer = self(base);
	struct ml_bpf_process *process = process_of(tracer, pid);

	if (process && process->is_attached)
		ml_bpf_process_detach(process, &tracer->attach, false);
}

void ml_bpf_tracer_each_stack(struct ml_tracer *base, pid_t pid,
			      void (*visit)(void *context, uint64_t id,
					    const struct ml_stack_record *record),
			      void *context)
{
	ml_bpf_books_each_stack(&self(base)->books, pid, visit, context);
}

/* ---- life -------------------------------------------------------------------------------------
 */

static void tracer_detach(struct ml_tracer *base)
{
	struct bpf_tracer *tracer = self(base);

	resolve_all(tracer);
	for (size_t i = 0; i < tracer->processes.count; i++)
		if (tracer->processes.items[i]->is_attached)
			ml_bpf_process_detach(tracer->processes.items[i], &tracer->attach, true);

	size_t left = ml_link_keeper_drain(tracer->attach.keeper, LINKS_LIMIT_MS);
	char text[128];

	if (!left)
		return;
	snprintf(text, sizeof(text), "%zu probe links are still being closed by the kernel", left);
	note(tracer, text);
}

static void tracer_destroy(struct ml_tracer *base)
{
	struct bpf_tracer *tracer = self(base);

	ml_array_each (process, &tracer->processes) {
		ml_bpf_process_deinit(*process);
		free(*process);
	}
	ml_array_free(&tracer->processes);
	ml_array_free(&tracer->news);
	ml_array_free(&tracer->execs);
	ml_mapping_watch_close(tracer->watch);
	ml_bpf_calls_close(tracer->calls);
	ml_bpf_loads_close(tracer->loads);
	ring_buffer__free(tracer->map_ring);
	ml_bpf_python_close(tracer->python);
	ml_map_books_destroy(tracer->map_books);
	ml_stack_store_destroy(tracer->stacks);
	ml_unwind_tables_destroy(tracer->attach.unwind);
	ml_module_cache_destroy(tracer->attach.modules);
	ml_link_keeper_destroy(tracer->attach.keeper);
	ml_bpf_throws_destroy(tracer->attach.throws);
	ml_function_names_deinit(&tracer->functions);
	ml_user_bpf__destroy(tracer->skeleton);
	ml_fd_close(&tracer->epoll_fd);
	ml_bpf_log_stop();
	free(tracer);
}

/* Probes stay. But only multi links can have the loader of the next program wait until its modules
 * are known (see choose_programs() in bpf_loader.c). */
static bool tracer_outlives_exec(struct ml_tracer *base)
{
	return self(base)->attach.kind != ML_LINK_PERF;
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

static void know_maps(struct bpf_tracer *tracer)
{
	struct ml_user_bpf *skeleton = tracer->skeleton;

	tracer->books = (struct ml_bpf_books){
		.sites_fd = bpf_map__fd(skeleton->maps.sites),
		.live_fd = bpf_map__fd(skeleton->maps.live),
		.stacks_fd = bpf_map__fd(skeleton->maps.stacks),
		.counters_fd = bpf_map__fd(skeleton->maps.counters),
		.counters_per_cpu = true,
	};
	tracer->attach.options = tracer->options;
	tracer->attach.modules = ml_module_cache_create();
	tracer->attach.functions = &tracer->functions;
	tracer->attach.keeper = ml_link_keeper_create();
	tracer->attach.processes_fd = bpf_map__fd(skeleton->maps.processes);
	tracer->attach.call_fd = bpf_program__fd(skeleton->progs.on_call);
	tracer->attach.entry_fd = bpf_program__fd(skeleton->progs.on_entry);
	tracer->attach.return_fd = bpf_program__fd(skeleton->progs.on_return);
	tracer->attach.free_fd = bpf_program__fd(skeleton->progs.on_free);
	tracer->attach.load_fd = bpf_program__fd(skeleton->progs.on_load);
	tracer->attach.throws =
		ml_bpf_throws_create(tracer->options, bpf_program__fd(skeleton->progs.on_throw),
				     bpf_map__fd(skeleton->maps.throw_events),
				     bpf_map__fd(skeleton->maps.throws_mended));
	tracer->map_books = ml_map_books_create();
	tracer->stacks = ml_stack_store_create();
}

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
		note(tracer, ml_error_message(error));
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
		error = ml_bpf_python_open(bpf_map__fd(skeleton->maps.python_stacks),
					   bpf_map__fd(skeleton->maps.name_events), hear_names,
					   tracer, &tracer->python);
	if (!error)
		error = add_to_epoll(tracer, ml_bpf_python_fd(tracer->python));
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
	tracer->attach.kind = loaded.kind;
	know_maps(tracer);
	tracer->attach.unwind = ml_unwind_tables_create(
		bpf_map__fd(tracer->skeleton->maps.rows), loaded.row_limit,
		bpf_map__fd(tracer->skeleton->maps.pages), loaded.page_limit);
	error = ml_trap_cost_measure(tracer->attach.kind, &tracer->trap_ns);
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
	tracer->event_ns = -1;
	ml_bpf_log_start(options);
	error = start(tracer);
	if (error) {
		tracer_destroy(&tracer->tracer);
		return error;
	}
	*out = &tracer->tracer;
	return NULL;
}

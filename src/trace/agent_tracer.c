/* SPDX-License-Identifier: BSD-2-Clause */
/** The tracer that works from inside the processes. */
#include "base/clock.h"
#include "base/file.h"
#include "base/strbuf.h"
#include "trace/agent_attach.h"
#include "trace/agent_books.h"
#include "trace/agent_calls.h"
#include "trace/agent_heirs.h"
#include "trace/agent_loads.h"
#include "trace/agent_profile.h"
#include "trace/agent_sampling.h"
#include "trace/libc_internals.h"
#include "trace/map_books.h"
#include "trace/mapping_watch.h"
#include "trace/stack_store.h"
#include "trace/takeover.h"
#include "trace/tracer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* How often the rings of mmap calls are emptied and what needs no more is done: new mappings are
 * looked for where the kernel does not tell of them, filters, room, blocks taken over. */
#define TICK_NS 200000000
/* A timer that is a little early counts. */
#define TICK_EARLY_NS (TICK_NS / 10)
/* For so long it is then looked for new filters of system calls. */
#define FILTERS_NS (2 * ML_NS_PER_MS)

/* How often the rings of --trace are emptied: calls are to be seen as they happen. */
#define CALLS_TICK_NS 10000000

/* How often Python's new stacks are named: what a module runs once is freed when it is done. */
#define PYTHON_TICK_NS 5000000
/* How long names are read at one. */
#define NAMES_NS 10000000

/* What a call takes the agent, for the estimate of its cost: measured in loops, and
 * rounded up for what real programs miss in the caches. Its clock would cost as much as it does. */
#define CALL_NS         12.0
#define SAMPLED_CALL_NS 3.0
#define TRACED_CALL_NS  150.0 /* --trace: it asks for the time */

/* For so many agents it is looked whether children that nobody follows have inherited them. */
#define IMAGES_LIMIT 64

struct agent_process {
	struct ml_agent_attached attached;
	struct ml_agent_books books;
	struct ml_agent_prior prior; /* what another tracer had booked */
	struct ml_agent_sampling sampling;
	struct ml_agent_calls calls;
	pid_t pid;
	bool is_taken; /* false once it was removed: kept for its books and stacks */
	bool has_lapsed;
	bool is_due;           /* its maps have changed */
	uint32_t stacks_named; /* how many were looked at for names of Python and Java */
};

struct agent_tracer {
	struct ml_tracer tracer;
	struct ml_agent_common common;
	ML_ARRAY(struct agent_process *) processes; /* by index; none ever leaves */
	ML_ARRAY(uint64_t) images;                  /* where agents were, until heirs are cleaned */
	struct ml_map_books *map_books;
	struct ml_stack_store *stacks;
	struct ml_mapping_watch *watch;   /* NULL where perf does not let us */
	struct ml_agent_profile *profile; /* NULL where perf does not let us */
	double cost_s;                    /* of the calls counted, by what they took at the time */
	uint64_t cost_events;
	int epoll_fd, timer_fd;
	long tick_ns;
	uint64_t slow_ns;     /* when what is done every TICK_NS was done last */
	size_t next_filtered; /* the process to be asked for its filters */
};

static struct agent_tracer *self(struct ml_tracer *tracer)
{
	return (struct agent_tracer *)tracer;
}

static void note(const struct agent_tracer *tracer, const char *text)
{
	if (tracer->common.options->note)
		tracer->common.options->note(tracer->common.options->note_context, text);
}

static bool is_attached(const struct agent_process *process)
{
	return process->is_taken && process->attached.injection.memory;
}

static struct agent_process *process_of(const struct agent_tracer *tracer, pid_t pid)
{
	/* The newest first: a pid can come back. */
	for (size_t i = tracer->processes.count; i-- > 0;)
		if (tracer->processes.items[i]->pid == pid)
			return tracer->processes.items[i];
	return NULL;
}

/* Calls of all, also of those that have ended. */
static uint64_t events_so_far(const struct agent_tracer *tracer)
{
	uint64_t events = 0;

	ml_array_each (process, &tracer->processes)
		events += ml_agent_books_events(&(*process)->books);
	return events;
}

/* ---- stacks ---------------------------------------------------------------------------------- */

static const struct ml_stack *tracer_stack(struct ml_tracer *base, uint64_t id)
{
	struct agent_tracer *tracer = self(base);
	const struct ml_stack *stack = ml_stack_store_get(tracer->stacks, id);
	uint32_t index = ml_agent_books_index(id);
	struct ml_agent_attached *attached;
	struct ml_stack_record record;
	struct ml_python_record functions;

	if (stack || index >= tracer->processes.count ||
	    !ml_agent_books_stack(&tracer->processes.items[index]->books, id, &record, &functions))
		return stack;
	attached = &tracer->processes.items[index]->attached;
	ml_agent_pythons_name(&attached->pythons, attached->process, id, &functions);

	ML_FREE_CLEANUP struct ml_python_stack *python =
		ml_agent_pythons_take(&attached->pythons, id);

	return ml_java_process_add(&attached->java, attached->process, tracer->stacks, id, &record,
				   &attached->code, python);
}

static void resolve(void *context, uint64_t id)
{
	tracer_stack(context, id);
}

static bool has_names_to_read(const struct agent_process *process)
{
	return process->attached.java.vm.layout.end ||
	       process->attached.pythons.python.layout.main_interpreter;
}

/* Reads the names of the functions of Python and Java of stacks that are new; of many, the next
 * ones at the next tick, since threads may wait to be told of code that was loaded. */
static void read_names(struct agent_process *process)
{
	struct ml_agent_attached *attached = &process->attached;
	uint64_t begin_ns = ml_monotonic_ns();
	struct ml_stack_record record;
	struct ml_python_record functions;
	uint64_t id;

	if (!has_names_to_read(process))
		return;
	while (ml_monotonic_ns() - begin_ns < NAMES_NS &&
	       ml_agent_books_next_stack(&process->books, &process->stacks_named, &id))
		if (ml_agent_books_stack(&process->books, id, &record, &functions)) {
			ml_java_process_name(&attached->java, attached->process, &record);
			ml_agent_pythons_name(&attached->pythons, attached->process, id,
					      &functions);
		}
}

/* Names all addresses while the code they run through is still known. */
static void resolve_all(struct agent_tracer *tracer, const struct agent_process *process)
{
	ml_agent_books_each_stack(&process->books, resolve, &tracer->tracer);
}

/* ---- direct mappings --------------------------------------------------------------------------
 */

static void read_maps(struct agent_tracer *tracer, struct agent_process *process)
{
	struct ml_map_event event;

	/* One that adds to them without end is not to keep us. */
	for (uint32_t i = 0;
	     i < ML_AGENT_MAP_EVENTS && ml_agent_books_next_map(&process->books, &event); i++) {
		const struct ml_stack *stack =
			event.stack ? tracer_stack(&tracer->tracer, event.stack) : NULL;

		event.is_library = event.role == ML_ROLE_MUNMAP
					   ? ml_code_map_is_static(&process->attached.code)
					   : ml_libc_internal_stack(stack);
		ml_map_books_add(tracer->map_books, &event);
	}
}

/* ---- processes --------------------------------------------------------------------------------
 */

/* A process from which the newest may have been forked: any that has an agent where it has one. */
static const struct ml_agent_attached *parent_of(const struct agent_tracer *tracer,
						 const struct ml_process *target)
{
	ml_array_each (process, &tracer->processes)
		if (is_attached(*process) && (*process)->attached.process != target &&
		    ml_injection_is_inherited(target, &(*process)->attached.injection))
			return &(*process)->attached;
	return NULL;
}

static struct agent_process *add(struct agent_tracer *tracer, struct ml_process *target)
{
	struct agent_process *process = ml_alloc(sizeof(*process));

	process->pid = ml_process_pid(target);
	process->is_taken = true;
	process->attached.common = &tracer->common;
	process->attached.process = target;
	process->attached.injection.fd = -1;
	process->books.index = (uint32_t)tracer->processes.count;
	*ml_array_push(&tracer->processes) = process;
	return process;
}

static long wanted_tick_ns(const struct agent_tracer *tracer)
{
	ml_array_each (process, &tracer->processes)
		if (is_attached(*process) &&
		    (*process)->attached.pythons.python.layout.main_interpreter)
			return PYTHON_TICK_NS;
	return tracer->common.options->trace_calls ? CALLS_TICK_NS : TICK_NS;
}

/* Has dispatch() called as often as the processes need it. */
static int set_tick(struct agent_tracer *tracer)
{
	long tick_ns = wanted_tick_ns(tracer);
	const struct itimerspec tick = {{0, tick_ns}, {0, tick_ns}};

	if (tick_ns == tracer->tick_ns)
		return 0;
	tracer->tick_ns = tick_ns;
	return timerfd_settime(tracer->timer_fd, 0, &tick, NULL);
}

static struct ml_error *attach(struct agent_tracer *tracer, struct agent_process *process,
			       const struct ml_agent_takeover *takeover)
{
	const struct ml_agent_attached *parent =
		takeover ? NULL : parent_of(tracer, process->attached.process);
	struct ml_error *error = ml_agent_attach(&process->attached, parent, takeover);

	process->books.memory = process->attached.injection.memory;
	process->books.fd = process->attached.injection.fd;
	process->books.pid = process->pid;
	process->books.lines = process->attached.room_lines;
	process->books.map_tail = 0;
	set_tick(tracer);
	if (!error)
		ml_agent_profile_add(tracer->profile, process->pid, &process->books.memory->header);
	if (!error && tracer->images.count < IMAGES_LIMIT)
		*ml_array_push(&tracer->images) = process->books.memory->header.image.start;
	return error;
}

/* Measured, or while too little is known, estimated. */
static double call_ns(const struct agent_tracer *tracer)
{
	const struct ml_tracer_options *options = tracer->common.options;
	double measured_ns = ml_agent_profile_call_ns(tracer->profile);

	if (measured_ns >= 0)
		return measured_ns;
	if (options->trace_calls)
		return TRACED_CALL_NS;
	return options->sample_bytes ? SAMPLED_CALL_NS : CALL_NS;
}

static void note_cost(const struct agent_tracer *tracer)
{
	double measured_ns = ml_agent_profile_call_ns(tracer->profile);
	char text[96];

	snprintf(text, sizeof(text), "a call takes the agent %.1f ns, %s", call_ns(tracer),
		 measured_ns < 0 ? "as estimated" : "as measured lately");
	note(tracer, text);
}

static void note_stops(const struct agent_tracer *tracer, const struct agent_process *process)
{
	const struct ml_agent_header *header = &process->books.memory->header;
	ML_STRBUF_CLEANUP struct ml_strbuf text = {0};

	ml_strbuf_printf(&text, "process %d was stopped %llu times, for %llu microseconds at most:",
			 process->pid, (unsigned long long)header->stops,
			 (unsigned long long)header->longest_stop_ns / 1000);
	for (size_t i = 0; i < header->stops && i < ML_AGENT_STOPS; i++)
		ml_strbuf_printf(&text, " %llu", (unsigned long long)header->stop_ns[i] / 1000);
	note(tracer, text.text);
}

/* Learns what was freed of what another tracer had booked. */
static void tick_prior(const struct agent_tracer *tracer, struct agent_process *process)
{
	if (process->books.memory && !ml_agent_prior_tick(&process->prior, process->books.memory))
		note(tracer, "more blocks were freed than could be noted while the agent took the "
			     "books over: some that were allocated before look outstanding");
}

/* Takes the agent out and its books over. */
static void detach(struct agent_tracer *tracer, struct agent_process *process)
{
	ML_ERROR_CLEANUP struct ml_error *error = ml_agent_detach(&process->attached);

	if (error)
		note(tracer, ml_error_message(error));
	if (tracer->common.options->verbose)
		note_stops(tracer, process);
	read_maps(tracer, process);
	resolve_all(tracer, process);
	ml_agent_calls_keep(&process->calls, process->books.memory, process->attached.process);
	ml_agent_prior_settle(&process->prior, process->books.memory);
	ml_agent_profile_drop(tracer->profile, process->pid);
	ml_agent_books_freeze(&process->books);
	ml_agent_close(&process->attached);
}

static void tracer_remove_process(struct ml_tracer *base, pid_t pid, bool keep)
{
	struct agent_tracer *tracer = self(base);
	struct agent_process *process = process_of(tracer, pid);

	if (!process)
		return;
	if (is_attached(process))
		detach(tracer, process);
	process->is_taken = false;
	process->attached.process = NULL;
	if (keep)
		return;
	ml_map_books_settle(tracer->map_books);
	ml_map_books_forget(tracer->map_books, pid);
	ml_agent_books_forget(&process->books);
	ml_agent_forget_functions(&process->attached);
	ml_agent_prior_deinit(&process->prior);
}

static struct ml_error *tracer_add_process(struct ml_tracer *base, struct ml_process *target);

/* A new program in an old process: the old one's memory is gone, and the agent with it. */
static struct ml_error *tracer_renew_process(struct ml_tracer *base, struct ml_process *target)
{
	tracer_remove_process(base, ml_process_pid(target), false);
	ml_error_free(ml_process_refresh(target));
	return tracer_add_process(base, target);
}

static struct ml_error *look(struct agent_tracer *tracer, struct agent_process *process)
{
	struct ml_error *error;
	enum ml_agent_look found = ml_agent_look(&process->attached, false, &error);

	if (found == ML_AGENT_NEW)
		return tracer_renew_process(&tracer->tracer, process->attached.process);
	if (found == ML_AGENT_SAME)
		return error;
	resolve_all(tracer, process);
	ml_agent_look(&process->attached, true, &error);
	return error;
}

static struct ml_error *tracer_add_process(struct ml_tracer *base, struct ml_process *target)
{
	struct agent_tracer *tracer = self(base);
	struct agent_process *process = process_of(tracer, ml_process_pid(target));

	if (process && process->is_taken && process->attached.process == target)
		return is_attached(process) ? look(tracer, process) : attach(tracer, process, NULL);

	struct ml_error *error = attach(tracer, add(tracer, target), NULL);

	/* One without an allocator may be starting. */
	if (error && ml_error_kind(error) != ML_ERROR_UNSUPPORTED)
		tracer_remove_process(base, ml_process_pid(target), false);
	return error;
}

static struct ml_error *tracer_refresh_process(struct ml_tracer *base, pid_t pid)
{
	struct agent_tracer *tracer = self(base);
	struct agent_process *process = process_of(tracer, pid);

	return process && is_attached(process) ? look(tracer, process) : NULL;
}

/* ---- what another tracer had ------------------------------------------------------------------
 */

struct ml_error *ml_agent_tracer_take_over(struct ml_tracer *base, struct ml_process *target,
					   void (*patched)(void *context), void *context)
{
	struct agent_tracer *tracer = self(base);
	const struct ml_agent_takeover takeover = {patched, context};
	struct ml_error *error;

	tracer->common.takes_over = true;
	error = attach(tracer, add(tracer, target), &takeover);

	if (error)
		tracer_remove_process(base, ml_process_pid(target), false);
	return error;
}

size_t ml_agent_tracer_give(struct ml_tracer *base, pid_t pid, ml_prior_blocks *blocks)
{
	struct agent_process *process = process_of(self(base), pid);

	ml_agent_sampling_expect_others(&process->sampling, process->books.memory);
	return ml_agent_prior_fill(&process->prior, process->books.memory, blocks);
}

struct ml_map_books *ml_agent_tracer_maps(struct ml_tracer *base)
{
	return self(base)->map_books;
}

/* ---- news -------------------------------------------------------------------------------------
 */

/* What went wrong at a look nobody asked for: gone in between is no news. */
static void look_again(struct agent_tracer *tracer, struct agent_process *process)
{
	const struct ml_process *target = process->attached.process;
	struct ml_agent_loads loads = ml_agent_loads_begin(&process->attached);
	ML_ERROR_CLEANUP struct ml_error *error = look(tracer, process);

	process->is_due = false;
	if (is_attached(process))
		ml_agent_loads_end(&process->attached, &loads);
	if (error && ml_error_kind(error) != ML_ERROR_UNSUPPORTED && ml_process_is_alive(target))
		note(tracer, ml_error_message(error));
}

static void hear(void *context, pid_t pid, bool is_exec)
{
	struct agent_process *process = process_of(context, pid);

	(void)is_exec;
	if (process)
		process->is_due = true;
}

/* Looks at the processes of which there is news: all of them when some was lost, or @p everywhere.
 */
static void look_at_news(struct agent_tracer *tracer, bool everywhere)
{
	if (tracer->watch && ml_mapping_watch_read(tracer->watch, hear, tracer))
		everywhere = true;
	for (size_t i = 0; i < tracer->processes.count; i++) {
		struct agent_process *process = tracer->processes.items[i];

		if (is_attached(process) &&
		    (everywhere || process->is_due || ml_agent_loads_wait(&process->attached)))
			look_again(tracer, process);
	}
}

static void check_lapse(struct agent_tracer *tracer, struct agent_process *process)
{
	if (process->has_lapsed || !process->books.memory ||
	    __atomic_load_n(&process->books.memory->header.mode, __ATOMIC_RELAXED) !=
		    ML_AGENT_LAPSED)
		return;
	process->has_lapsed = true;
	note(tracer, "memleak was stopped for more than 10 seconds: the agent has switched itself "
		     "off, its books end there");
}

/* Where the agent's memory is a file. */
static void check_room(struct agent_tracer *tracer, struct agent_process *process)
{
	if (process->has_lapsed || !is_attached(process) ||
	    ml_injection_has_room(&process->attached.injection))
		return;
	process->has_lapsed = true;
	__atomic_store_n(&process->books.memory->header.mode, ML_AGENT_LAPSED, __ATOMIC_RELAXED);
	note(tracer, "the file system that holds the agent's memory is nearly full: the agent was "
		     "switched off, its books end there");
}

/* As many processes as can be looked at in so long, in turn. */
static void check_filters(struct agent_tracer *tracer)
{
	uint64_t end_ns = ml_monotonic_ns() + FILTERS_NS;

	for (size_t i = 0; i < tracer->processes.count && ml_monotonic_ns() < end_ns; i++) {
		size_t next = tracer->next_filtered++ % tracer->processes.count;
		struct agent_process *process = tracer->processes.items[next];

		if (is_attached(process))
			ml_injection_watch_filter(&process->attached.injection);
	}
}

static int tracer_event_fd(struct ml_tracer *base)
{
	return self(base)->epoll_fd;
}

/* Reads the books, but for what is not the agent's own. Where it samples, what it need not look for
 * any more is found on the way. */
static void read_books(struct agent_process *process, const struct ml_snapshot_filter *filter,
		       struct ml_snapshot *out)
{
	struct ml_agent_memory *memory = process->books.memory;
	bool clears = !process->prior.log_ticks &&
		      ml_agent_sampling_is_settled(&process->sampling, memory);
	ML_FREE_CLEANUP uint8_t *others = clears ? ml_alloc(ML_AGENT_FILTER) : NULL;

	ml_agent_prior_settle(&process->prior, memory);
	ml_agent_books_snapshot(&process->books, filter, others, out);
	if (!clears)
		return;
	ml_agent_prior_mark(&process->prior, others);
	ml_agent_sampling_clear(&process->sampling, memory, others);
}

/* Until the filter is cleared every free is looked up: that does not wait for a report. */
static void clear_filter(struct agent_process *process)
{
	const struct ml_snapshot_filter all = {.want_ages = true};
	struct ml_snapshot unused = {0};

	if (process->sampling.was_cleared || process->prior.log_ticks ||
	    !ml_agent_sampling_is_settled(&process->sampling, process->books.memory))
		return;
	read_books(process, &all, &unused);
	ml_snapshot_deinit(&unused);
}

/* What is done every TICK_NS, however often the timer fires: what waits for threads counts it. */
static void tick_slowly(struct agent_tracer *tracer)
{
	check_filters(tracer);
	ml_array_each (process, &tracer->processes) {
		check_room(tracer, *process);
		tick_prior(tracer, *process);
		if ((*process)->books.memory)
			ml_agent_sampling_tick(&(*process)->sampling, (*process)->books.memory);
		clear_filter(*process);
	}
}

static void catch_up(struct agent_tracer *tracer, bool looks)
{
	uint64_t now_ns = ml_monotonic_ns();
	bool is_tick = now_ns - tracer->slow_ns >= TICK_NS - TICK_EARLY_NS;

	look_at_news(tracer, looks || (!tracer->watch && is_tick));
	if (is_tick) {
		tracer->slow_ns = now_ns;
		tick_slowly(tracer);
	}
	ml_array_each (process, &tracer->processes) {
		check_lapse(tracer, *process);
		read_names(*process);
		read_maps(tracer, *process);
	}
	set_tick(tracer);
}

static void read_calls(struct agent_tracer *tracer,
		       void (*take)(void *context, const struct ml_traced_call *call),
		       void *context)
{
	ml_array_each (it, &tracer->processes) {
		struct agent_process *process = *it;
		const struct ml_agent_call_sink sink = {
			.take = take,
			.context = context,
			.functions = &tracer->common.functions,
			.process = process->attached.process,
			.pid = process->pid,
		};

		ml_agent_calls_read(&process->calls, process->books.memory, &sink);
	}
}

static void tracer_dispatch(struct ml_tracer *base,
			    void (*sink)(void *context, const struct ml_traced_call *call),
			    void *context)
{
	struct agent_tracer *tracer = self(base);
	uint64_t ticks;

	if (read(tracer->timer_fd, &ticks, sizeof(ticks)) > 0)
		ml_agent_profile_tick(tracer->profile, events_so_far(tracer));
	else if (errno != EAGAIN)
		return;
	ml_agent_heart_hear(tracer->common.heart);
	catch_up(tracer, false);
	if (sink && tracer->common.options->trace_calls)
		read_calls(tracer, sink, context);
}

static struct ml_error *tracer_snapshot(struct ml_tracer *base,
					const struct ml_snapshot_filter *filter,
					struct ml_snapshot *out)
{
	struct agent_tracer *tracer = self(base);
	struct ml_snapshot fresh = {0};

	catch_up(tracer, true);
	ml_map_books_settle(tracer->map_books);
	fresh.time_ns = ml_monotonic_ns();
	fresh.has_cohorts = filter->want_ages && filter->cohorts;
	ml_array_each (it, &tracer->processes) {
		struct agent_process *process = *it;
		size_t first = fresh.blocks.count;

		read_books(process, filter, &fresh);
		ml_agent_tids_translate(&process->calls.tids, process->attached.process, &fresh,
					first);
		fresh.counters[ML_COUNTER_MODULES_UNREADABLE] += process->attached.code.unreadable;
		fresh.counters[ML_COUNTER_MAPPINGS_BEYOND_LIMIT] += process->attached.beyond_limit;
		fresh.counters[ML_COUNTER_FUNCTIONS_NOT_PROBED] += process->attached.refused.count;
		fresh.counters[ML_COUNTER_FUNCTIONS_BY_IMPORTS] +=
			process->attached.by_imports.count;
		fresh.counters[ML_COUNTER_FUNCTIONS_LATE] += process->attached.late;
	}
	fresh.counters[ML_COUNTER_UNWIND_TABLE_FULL] +=
		ml_unwind_tables_refused(tracer->common.rows.tables);
	ml_map_books_snapshot(tracer->map_books, filter, &fresh);
	ml_array_each (process, &tracer->processes)
		ml_agent_prior_snapshot(&(*process)->prior, filter, &fresh);
	ml_snapshot_deinit(out);
	*out = fresh;
	return NULL;
}

static void tracer_cost(struct ml_tracer *base, struct ml_tracer_cost *out)
{
	struct agent_tracer *tracer = self(base);

	out->events = events_so_far(tracer);
	if (out->events > tracer->cost_events)
		tracer->cost_s +=
			(double)(out->events - tracer->cost_events) * call_ns(tracer) / 1e9;
	tracer->cost_events = out->events;
	out->target_cpu_s = tracer->cost_s;
}

static void tracer_sample(struct ml_tracer *base, uint64_t mean_bytes)
{
	struct agent_tracer *tracer = self(base);
	struct ml_tracer_cost cost;

	tracer_cost(base, &cost);
	ml_array_each (it, &tracer->processes) {
		struct agent_process *process = *it;

		if (!process->books.memory)
			continue;
		ml_agent_sampling_begin(&process->sampling, process->books.memory, mean_bytes);
		if (is_attached(process))
			ml_error_free(ml_injection_shorten(&process->attached.injection));
	}
	ml_agent_profile_begin_anew(tracer->profile);
}

/* ---- life -------------------------------------------------------------------------------------
 */

static void tracer_detach(struct ml_tracer *base)
{
	struct agent_tracer *tracer = self(base);

	if (tracer->common.options->verbose && tracer->images.count)
		note_cost(tracer);
	ml_array_each (process, &tracer->processes) {
		if (!is_attached(*process))
			continue;
		detach(tracer, *process);
		(*process)->is_taken = false;
	}
	if (ml_agent_heirs_clean(tracer->images.items, tracer->images.count))
		note(tracer, "a forked child of the process keeps the agent's stubs, which only "
			     "let its calls through: a thread is in them, or it is debugged");
	tracer->images.count = 0;
}

static void tracer_destroy(struct ml_tracer *base)
{
	struct agent_tracer *tracer = self(base);

	tracer_detach(base);
	ml_array_each (process, &tracer->processes) {
		ml_agent_attached_deinit(&(*process)->attached);
		ml_agent_books_forget(&(*process)->books);
		ml_agent_prior_deinit(&(*process)->prior);
		ml_agent_sampling_deinit(&(*process)->sampling);
		ml_agent_calls_deinit(&(*process)->calls);
		free(*process);
	}
	ml_array_free(&tracer->processes);
	ml_array_free(&tracer->images);
	ml_mapping_watch_close(tracer->watch);
	ml_agent_profile_close(tracer->profile);
	ml_agent_heart_destroy(tracer->common.heart);
	ml_agent_rows_deinit(&tracer->common.rows);
	ml_function_names_deinit(&tracer->common.functions);
	ml_map_books_destroy(tracer->map_books);
	ml_stack_store_destroy(tracer->stacks);
	ml_module_cache_destroy(tracer->common.modules);
	ml_fd_close(&tracer->timer_fd);
	ml_fd_close(&tracer->epoll_fd);
	free(tracer);
}

static const struct ml_tracer_ops agent_ops = {
	.name = "agent",
	.add_process = tracer_add_process,
	.refresh_process = tracer_refresh_process,
	.renew_process = tracer_renew_process,
	.remove_process = tracer_remove_process,
	.snapshot = tracer_snapshot,
	.stack = tracer_stack,
	.event_fd = tracer_event_fd,
	.dispatch = tracer_dispatch,
	.cost = tracer_cost,
	.sample = tracer_sample,
	.detach = tracer_detach,
	.destroy = tracer_destroy,
};

static struct ml_error *wait_for(struct agent_tracer *tracer, int fd)
{
	struct epoll_event event = {.events = EPOLLIN};

	if (epoll_ctl(tracer->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
		return ml_error_errno(errno, "cannot wait for events");
	return NULL;
}

static struct ml_error *start(struct agent_tracer *tracer)
{
	struct ml_error *error = ml_agent_rows_init(&tracer->common.rows);

	if (error)
		return error;
	tracer->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	tracer->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (tracer->epoll_fd < 0 || tracer->timer_fd < 0 || set_tick(tracer))
		return ml_error_errno(errno, "cannot make a timer");
	/* Without perf events, as often where this backend is needed, the maps are looked at. */
	ml_error_free(ml_mapping_watch_open(&tracer->watch));
	if (!tracer->common.options->trace_calls)
		ml_error_free(ml_agent_profile_open(&tracer->profile));
	error = wait_for(tracer, tracer->timer_fd);
	if (!error && tracer->watch)
		error = wait_for(tracer, ml_mapping_watch_fd(tracer->watch));
	if (!error)
		error = wait_for(tracer, ml_agent_heart_fd(tracer->common.heart));
	return error;
}

struct ml_error *ml_agent_tracer_create(const struct ml_tracer_options *options,
					struct ml_tracer **out)
{
	struct agent_tracer *tracer = ml_alloc(sizeof(*tracer));
	struct ml_error *error;

	tracer->tracer.ops = &agent_ops;
	tracer->epoll_fd = tracer->timer_fd = -1;
	tracer->common.options = options;
	tracer->common.modules = ml_module_cache_create();
	error = ml_agent_heart_create(&tracer->common.heart);
	tracer->map_books = ml_map_books_create();
	tracer->stacks = ml_stack_store_create();
	if (!error)
		error = start(tracer);
	if (error)
		tracer_destroy(&tracer->tracer);
	else
		*out = &tracer->tracer;
	return error;
}

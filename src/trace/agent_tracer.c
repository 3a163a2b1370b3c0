/* SPDX-License-Identifier: BSD-2-Clause */
/** The tracer that works from inside the processes. */
#include "base/clock.h"
#include "base/file.h"
#include "trace/agent_loads.h"
#include "trace/agent_meter.h"
#include "trace/agent_processes.h"
#include "trace/mapping_watch.h"
#include "trace/takeover.h"
#include "trace/tracer.h"

#include <errno.h>
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

struct agent_tracer {
	struct ml_tracer tracer;
	struct ml_agent_processes processes;
	struct ml_agent_meter meter;
	struct ml_mapping_watch *watch; /* NULL where perf does not let us */
	int epoll_fd, timer_fd;
	long tick_ns;
	uint64_t slow_ns;     /* when what is done every TICK_NS was done last */
	size_t next_filtered; /* the process to be asked for its filters */
};

static struct agent_tracer *self(struct ml_tracer *tracer)
{
	return (struct agent_tracer *)tracer;
}

static const struct ml_tracer_options *options_of(const struct agent_tracer *tracer)
{
	return tracer->processes.common.options;
}

static struct ml_agent_process *process_of(struct ml_tracer *tracer, pid_t pid)
{
	return ml_agent_processes_find(&self(tracer)->processes, pid);
}

/* ---- processes --------------------------------------------------------------------------------
 */

static long wanted_tick_ns(const struct agent_tracer *tracer)
{
	if (ml_agent_processes_have_python(&tracer->processes))
		return PYTHON_TICK_NS;
	return options_of(tracer)->trace_calls ? CALLS_TICK_NS : TICK_NS;
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

static struct ml_error *tracer_add_process(struct ml_tracer *tracer, struct ml_process *target)
{
	struct ml_error *error = ml_agent_processes_add(&self(tracer)->processes, target);

	set_tick(self(tracer));
	return error;
}

static struct ml_error *tracer_renew_process(struct ml_tracer *tracer, struct ml_process *target)
{
	struct ml_error *error = ml_agent_processes_renew(&self(tracer)->processes, target);

	set_tick(self(tracer));
	return error;
}

static struct ml_error *tracer_refresh_process(struct ml_tracer *tracer, pid_t pid)
{
	struct ml_agent_process *process = process_of(tracer, pid);

	return process && ml_agent_process_is_attached(process)
		       ? ml_agent_processes_look(&self(tracer)->processes, process)
		       : NULL;
}

static void tracer_remove_process(struct ml_tracer *tracer, pid_t pid, bool keep)
{
	ml_agent_processes_remove(&self(tracer)->processes, pid, keep);
}

static const struct ml_stack *tracer_stack(struct ml_tracer *tracer, uint64_t id)
{
	return ml_agent_processes_stack(&self(tracer)->processes, id);
}

/* ---- what another tracer had ------------------------------------------------------------------
 */

struct ml_error *ml_agent_tracer_take_over(struct ml_tracer *base, struct ml_process *target,
					   void (*patched)(void *context), void *context)
{
	const struct ml_agent_takeover takeover = {patched, context};
	struct ml_error *error =
		ml_agent_processes_take_over(&self(base)->processes, target, &takeover);

	set_tick(self(base));
	return error;
}

size_t ml_agent_tracer_give(struct ml_tracer *base, pid_t pid, ml_prior_blocks *blocks)
{
	struct ml_agent_process *process = process_of(base, pid);

	ml_agent_sampling_expect_others(&process->sampling, process->books.memory);
	return ml_agent_prior_fill(&process->prior, process->books.memory, blocks);
}

struct ml_map_books *ml_agent_tracer_maps(struct ml_tracer *base)
{
	return self(base)->processes.map_books;
}

/* Learns what was freed of what another tracer had booked. */
static void tick_prior(const struct agent_tracer *tracer, struct ml_agent_process *process)
{
	if (process->books.memory && !ml_agent_prior_tick(&process->prior, process->books.memory))
		ml_agent_processes_note(
			&tracer->processes,
			"more blocks were freed than could be noted while the agent took the "
			"books over: some that were allocated before look outstanding");
}

/* ---- news -------------------------------------------------------------------------------------
 */

static void hear(void *context, pid_t pid, bool is_exec)
{
	struct ml_agent_process *process = process_of(context, pid);

	(void)is_exec;
	if (process)
		process->is_due = true;
}

/* Looks at the processes of which there is news: all of them when some was lost, or @everywhere. */
static void look_at_news(struct agent_tracer *tracer, bool everywhere)
{
	struct ml_agent_processes *processes = &tracer->processes;

	if (tracer->watch && ml_mapping_watch_read(tracer->watch, hear, tracer))
		everywhere = true;
	/* By index: a new program adds a process. */
	for (size_t i = 0; i < processes->list.count; i++) {
		struct ml_agent_process *process = processes->list.items[i];

		if (ml_agent_process_is_attached(process) &&
		    (everywhere || process->is_due || ml_agent_loads_wait(&process->attached)))
			ml_agent_processes_look_again(processes, process);
	}
}

static void check_lapse(struct agent_tracer *tracer, struct ml_agent_process *process)
{
	if (process->has_lapsed || !process->books.memory ||
	    __atomic_load_n(&process->books.memory->header.mode, __ATOMIC_RELAXED) !=
		    ML_AGENT_LAPSED)
		return;
	process->has_lapsed = true;
	ml_agent_processes_note(
		&tracer->processes,
		"memleak was stopped for more than 10 seconds: the agent has switched itself "
		"off, its books end there");
}

/* Where the agent's memory is a file. */
static void check_room(struct agent_tracer *tracer, struct ml_agent_process *process)
{
	if (process->has_lapsed || !ml_agent_process_is_attached(process) ||
	    ml_injection_has_room(&process->attached.injection))
		return;
	process->has_lapsed = true;
	__atomic_store_n(&process->books.memory->header.mode, ML_AGENT_LAPSED, __ATOMIC_RELAXED);
	ml_agent_processes_note(
		&tracer->processes,
		"the file system that holds the agent's memory is nearly full: the agent was "
		"switched off, its books end there");
}

/* As many processes as can be looked at in so long, in turn. */
static void check_filters(struct agent_tracer *tracer)
{
	uint64_t end_ns = ml_monotonic_ns() + FILTERS_NS;

	for (size_t i = 0; i < tracer->processes.list.count && ml_monotonic_ns() < end_ns; i++) {
		size_t next = tracer->next_filtered++ % tracer->processes.list.count;
		struct ml_agent_process *process = tracer->processes.list.items[next];

		if (ml_agent_process_is_attached(process))
			ml_injection_watch_filter(&process->attached.injection);
	}
}

static int tracer_event_fd(struct ml_tracer *base)
{
	return self(base)->epoll_fd;
}

/* Reads the books, but for what is not the agent's own. Where it samples, what it need not look for
 * any more is found on the way. */
static void read_books(struct ml_agent_process *process, const struct ml_snapshot_filter *filter,
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
static void clear_filter(struct ml_agent_process *process)
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
	ml_array_each (process, &tracer->processes.list) {
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
	ml_array_each (process, &tracer->processes.list) {
		check_lapse(tracer, *process);
		ml_agent_processes_read(&tracer->processes, *process);
	}
	set_tick(tracer);
}

static void read_calls(struct agent_tracer *tracer,
		       void (*take)(void *context, const struct ml_traced_call *call),
		       void *context)
{
	ml_array_each (it, &tracer->processes.list) {
		struct ml_agent_process *process = *it;
		const struct ml_agent_call_sink sink = {
			.take = take,
			.context = context,
			.functions = &tracer->processes.common.functions,
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
		ml_agent_profile_tick(tracer->processes.profile,
				      ml_agent_processes_events(&tracer->processes));
	else if (errno != EAGAIN)
		return;
	ml_agent_heart_hear(tracer->processes.common.heart);
	catch_up(tracer, false);
	if (sink && options_of(tracer)->trace_calls)
		read_calls(tracer, sink, context);
}

static struct ml_error *tracer_snapshot(struct ml_tracer *base,
					const struct ml_snapshot_filter *filter,
					struct ml_snapshot *out)
{
	struct agent_tracer *tracer = self(base);
	struct ml_snapshot fresh = {0};

	catch_up(tracer, true);
	ml_map_books_settle(tracer->processes.map_books);
	fresh.time_ns = ml_monotonic_ns();
	fresh.has_cohorts = filter->want_ages && filter->cohorts;
	ml_array_each (it, &tracer->processes.list) {
		struct ml_agent_process *process = *it;
		size_t first = fresh.blocks.count;

		read_books(process, filter, &fresh);
		ml_agent_tids_translate(&process->calls.tids, process->attached.process, &fresh,
					first);
	}
	ml_agent_processes_count(&tracer->processes, &fresh);
	ml_map_books_snapshot(tracer->processes.map_books, filter, &fresh);
	ml_array_each (process, &tracer->processes.list)
		ml_agent_prior_snapshot(&(*process)->prior, filter, &fresh);
	ml_snapshot_deinit(out);
	*out = fresh;
	return NULL;
}

static void tracer_cost(struct ml_tracer *base, struct ml_tracer_cost *out)
{
	struct agent_tracer *tracer = self(base);

	ml_agent_meter_read(&tracer->meter, &tracer->processes, out);
}

static void tracer_sample(struct ml_tracer *base, uint64_t mean_bytes)
{
	struct agent_tracer *tracer = self(base);
	struct ml_tracer_cost cost;

	tracer_cost(base, &cost);
	ml_array_each (it, &tracer->processes.list) {
		struct ml_agent_process *process = *it;

		if (!process->books.memory)
			continue;
		ml_agent_sampling_begin(&process->sampling, process->books.memory, mean_bytes);
		if (ml_agent_process_is_attached(process))
			ml_error_free(ml_injection_shorten(&process->attached.injection));
	}
	ml_agent_profile_begin_anew(tracer->processes.profile);
}

/* ---- life -------------------------------------------------------------------------------------
 */

static void tracer_detach(struct ml_tracer *base)
{
	struct agent_tracer *tracer = self(base);

	if (options_of(tracer)->verbose && tracer->processes.images.count)
		ml_agent_meter_note(&tracer->processes);
	ml_agent_processes_detach(&tracer->processes);
}

static void tracer_destroy(struct ml_tracer *base)
{
	struct agent_tracer *tracer = self(base);

	tracer_detach(base);
	ml_agent_processes_deinit(&tracer->processes);
	ml_mapping_watch_close(tracer->watch);
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

static struct ml_error *start(struct agent_tracer *tracer, const struct ml_tracer_options *options)
{
	struct ml_error *error = ml_agent_processes_init(&tracer->processes, options);

	if (error)
		return error;
	tracer->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	tracer->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (tracer->epoll_fd < 0 || tracer->timer_fd < 0 || set_tick(tracer))
		return ml_error_errno(errno, "cannot make a timer");
	/* Without perf events, as often where this backend is needed, the maps are looked at. */
	ml_error_free(ml_mapping_watch_open(&tracer->watch));
	error = wait_for(tracer, tracer->timer_fd);
	if (!error && tracer->watch)
		error = wait_for(tracer, ml_mapping_watch_fd(tracer->watch));
	if (!error)
		error = wait_for(tracer, ml_agent_heart_fd(tracer->processes.common.heart));
	return error;
}

struct ml_error *ml_agent_tracer_create(const struct ml_tracer_options *options,
					struct ml_tracer **out)
{
	struct agent_tracer *tracer = ml_alloc(sizeof(*tracer));
	struct ml_error *error;

	tracer->tracer.ops = &agent_ops;
	tracer->epoll_fd = tracer->timer_fd = -1;
	error = start(tracer, options);
	if (error)
		tracer_destroy(&tracer->tracer);
	else
		*out = &tracer->tracer;
	return error;
}

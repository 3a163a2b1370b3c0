/* SPDX-License-Identifier: BSD-2-Clause */
/** The tracer that works from inside one process. */
#include "base/file.h"
#include "trace/agent_attach.h"
#include "trace/agent_books.h"
#include "trace/libc_internals.h"
#include "trace/map_books.h"
#include "trace/stack_store.h"
#include "trace/tracer.h"

#include <errno.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* How often new mappings are looked for and the ring of mmap calls is emptied. */
#define TICK_NS 200000000

struct agent_tracer {
	struct ml_tracer tracer;
	const struct ml_tracer_options *options;
	struct ml_agent_attached attached;
	struct ml_module_cache *modules;
	struct ml_map_books *map_books;
	struct ml_stack_store *stacks;
	bool is_attached;
	bool has_lapsed;
	int timer_fd;
};

static struct agent_tracer *self(struct ml_tracer *tracer)
{
	return (struct agent_tracer *)tracer;
}

static void note(const struct agent_tracer *tracer, const char *text)
{
	if (tracer->options->note)
		tracer->options->note(tracer->options->note_context, text);
}

static struct ml_agent_memory *memory_of(const struct agent_tracer *tracer)
{
	return tracer->attached.injection.memory;
}

/* ---- stacks ---------------------------------------------------------------------------------- */

static const struct ml_stack *tracer_stack(struct ml_tracer *base, uint64_t id)
{
	struct agent_tracer *tracer = self(base);
	const struct ml_stack *stack = ml_stack_store_get(tracer->stacks, id);
	struct ml_stack_record record;

	if (stack || !memory_of(tracer) || !ml_agent_books_stack(memory_of(tracer), id, &record))
		return stack;
	return ml_stack_store_add(tracer->stacks, id, &record, &tracer->attached.code, NULL);
}

/* Names all addresses while the code they run through is still known. */
static void resolve_all(struct agent_tracer *tracer)
{
	for (uint64_t i = 1; memory_of(tracer) && i < ML_AGENT_STACKS; i++)
		if (memory_of(tracer)->stacks[i].hash)
			tracer_stack(&tracer->tracer, i + ML_STACK_ID_NONE);
}

/* ---- the process ------------------------------------------------------------------------------
 */

static void look_again(struct agent_tracer *tracer)
{
	struct ml_maps maps = {0};
	ML_ERROR_CLEANUP struct ml_error *error = ml_process_maps(tracer->attached.process, &maps);

	if (error)
		return;

	struct ml_code_change change = ml_code_map_compare(&tracer->attached.code, &maps);
	const struct ml_mapping *mapping = ml_maps_find(&maps, memory_of(tracer)->header.address);

	if (!mapping || !strstr(mapping->path, ML_AGENT_MEMORY_NAME)) {
		resolve_all(tracer);
		tracer->is_attached = false;
		note(tracer, "the process runs a new program, which the agent is not in: its "
			     "books end here");
	} else if (change.added || change.removed) {
		if (change.removed)
			resolve_all(tracer);
		ml_agent_tell_code(&tracer->attached, &maps);
	}
	ml_maps_deinit(&maps);
}

static struct ml_error *tracer_add_process(struct ml_tracer *base, struct ml_process *target)
{
	struct agent_tracer *tracer = self(base);
	struct ml_error *error;

	if (tracer->attached.process)
		return tracer->attached.process == target
			       ? NULL
			       : ml_error_new(ML_ERROR_UNSUPPORTED,
					      "the agent takes one process only");
	tracer->attached.process = target;
	error = ml_agent_attach(&tracer->attached);
	tracer->is_attached = !error;
	/* A process without an allocator is no process the agent could come back to. */
	if (error && ml_error_kind(error) == ML_ERROR_UNSUPPORTED) {
		struct ml_error *final =
			ml_error_new(ML_ERROR_TARGET, "%s", ml_error_message(error));

		ml_error_free(error);
		return final;
	}
	return error;
}

static struct ml_error *tracer_refresh_process(struct ml_tracer *base, pid_t pid)
{
	struct agent_tracer *tracer = self(base);

	if (tracer->is_attached)
		look_again(tracer);
	return NULL;
}

static void tracer_detach(struct ml_tracer *base)
{
	struct agent_tracer *tracer = self(base);

	if (!tracer->is_attached)
		return;
	tracer->is_attached = false;
	look_again(tracer);
	resolve_all(tracer);

	ML_ERROR_CLEANUP struct ml_error *error = ml_agent_detach(&tracer->attached);

	if (error)
		note(tracer, ml_error_message(error));
}

static void tracer_remove_process(struct ml_tracer *base, pid_t pid, bool keep)
{
	tracer_detach(base);
	if (!keep)
		ml_map_books_forget(self(base)->map_books, pid);
}

/* ---- news -------------------------------------------------------------------------------------
 */

static void read_maps(struct agent_tracer *tracer)
{
	struct ml_map_event event;

	while (memory_of(tracer) && ml_agent_books_next_map(memory_of(tracer), &event)) {
		const struct ml_stack *stack =
			event.stack ? tracer_stack(&tracer->tracer, event.stack) : NULL;

		if (!ml_libc_internal_stack(stack))
			ml_map_books_add(tracer->map_books, &event);
	}
}

static void check_lapse(struct agent_tracer *tracer)
{
	if (tracer->has_lapsed || !memory_of(tracer) ||
	    __atomic_load_n(&memory_of(tracer)->header.mode, __ATOMIC_RELAXED) != ML_AGENT_LAPSED)
		return;
	tracer->has_lapsed = true;
	note(tracer, "memleak was stopped for more than 10 seconds: the agent has switched itself "
		     "off, its books end there");
}

static int tracer_event_fd(struct ml_tracer *base)
{
	return self(base)->timer_fd;
}

static void tracer_dispatch(struct ml_tracer *base,
			    void (*sink)(void *context, const struct ml_traced_call *call),
			    void *context)
{
	struct agent_tracer *tracer = self(base);
	uint64_t ticks;

	if (read(tracer->timer_fd, &ticks, sizeof(ticks)) < 0 && errno != EAGAIN)
		return;
	check_lapse(tracer);
	if (tracer->is_attached)
		look_again(tracer);
	read_maps(tracer);
}

static struct ml_error *tracer_snapshot(struct ml_tracer *base,
					const struct ml_snapshot_filter *filter,
					struct ml_snapshot *out)
{
	struct agent_tracer *tracer = self(base);

	if (!memory_of(tracer))
		return ml_error_new(ML_ERROR_TARGET, "the agent is in no process");
	check_lapse(tracer);
	if (tracer->is_attached)
		look_again(tracer);
	read_maps(tracer);
	ml_map_books_settle(tracer->map_books);
	ml_agent_books_snapshot(memory_of(tracer), filter, out);
	ml_map_books_snapshot(tracer->map_books, filter, out);
	out->counters[ML_COUNTER_MODULES_UNREADABLE] += tracer->attached.code.unreadable;
	out->counters[ML_COUNTER_MAPPINGS_BEYOND_LIMIT] += tracer->attached.beyond_limit;
	out->counters[ML_COUNTER_FUNCTIONS_NOT_PROBED] += tracer->attached.not_patched;
	out->counters[ML_COUNTER_UNWIND_TABLE_FULL] +=
		ml_unwind_tables_refused(tracer->attached.unwind);
	return NULL;
}

static void tracer_cost(struct ml_tracer *base, struct ml_tracer_cost *out)
{
	const struct ml_agent_memory *memory = memory_of(self(base));

	out->events = memory ? ml_agent_books_events(memory) : 0;
	out->target_cpu_s = -1;
}

/* ---- life -------------------------------------------------------------------------------------
 */

static void tracer_destroy(struct ml_tracer *base)
{
	struct agent_tracer *tracer = self(base);

	tracer_detach(base);
	ml_agent_attached_deinit(&tracer->attached);
	ml_map_books_destroy(tracer->map_books);
	ml_stack_store_destroy(tracer->stacks);
	ml_module_cache_destroy(tracer->modules);
	ml_fd_close(&tracer->timer_fd);
	free(tracer);
}

static const struct ml_tracer_ops agent_ops = {
	.name = "agent",
	.add_process = tracer_add_process,
	.refresh_process = tracer_refresh_process,
	.remove_process = tracer_remove_process,
	.snapshot = tracer_snapshot,
	.stack = tracer_stack,
	.event_fd = tracer_event_fd,
	.dispatch = tracer_dispatch,
	.cost = tracer_cost,
	.detach = tracer_detach,
	.destroy = tracer_destroy,
};

struct ml_error *ml_agent_tracer_create(const struct ml_tracer_options *options,
					struct ml_tracer **out)
{
	const struct itimerspec tick = {{0, TICK_NS}, {0, TICK_NS}};
	struct agent_tracer *tracer = ml_alloc(sizeof(*tracer));

	tracer->tracer.ops = &agent_ops;
	tracer->options = options;
	tracer->modules = ml_module_cache_create();
	tracer->map_books = ml_map_books_create();
	tracer->stacks = ml_stack_store_create();
	tracer->attached.options = options;
	tracer->attached.modules = tracer->modules;
	tracer->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (tracer->timer_fd < 0 || timerfd_settime(tracer->timer_fd, 0, &tick, NULL)) {
		struct ml_error *error = ml_error_errno(errno, "cannot make a timer");

		tracer_destroy(&tracer->tracer);
		return error;
	}
	*out = &tracer->tracer;
	return NULL;
}

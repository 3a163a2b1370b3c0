/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/agent_processes.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/strbuf.h"
#include "trace/agent_heirs.h"
#include "trace/agent_loads.h"
#include "trace/libc_internals.h"

#include <string.h>

/* How long names are read at one. */
#define NAMES_NS 10000000

/* For so many agents it is looked whether children that nobody follows have inherited them. */
#define IMAGES_LIMIT 64

void ml_agent_processes_note(const struct ml_agent_processes *processes, const char *text)
{
	ml_tracer_note(processes->common.options, text);
}

bool ml_agent_process_is_attached(const struct ml_agent_process *process)
{
	return process->is_taken && process->attached.injection.memory;
}

struct ml_agent_process *ml_agent_processes_find(const struct ml_agent_processes *processes,
						 pid_t pid)
{
	/* The newest first: a pid can come back. */
	for (size_t i = processes->list.count; i-- > 0;)
		if (processes->list.items[i]->pid == pid)
			return processes->list.items[i];
	return NULL;
}

uint64_t ml_agent_processes_events(const struct ml_agent_processes *processes)
{
	uint64_t events = 0;

	ml_array_each (process, &processes->list)
		events += ml_agent_books_events(&(*process)->books);
	return events;
}

bool ml_agent_processes_have_python(const struct ml_agent_processes *processes)
{
	ml_array_each (process, &processes->list)
		if (ml_agent_process_is_attached(*process) &&
		    (*process)->attached.pythons.python.layout.main_interpreter)
			return true;
	return false;
}

void ml_agent_processes_count(const struct ml_agent_processes *processes, struct ml_snapshot *out)
{
	ml_array_each (process, &processes->list) {
		const struct ml_agent_attached *attached = &(*process)->attached;

		out->counters[ML_COUNTER_MODULES_UNREADABLE] += attached->code.unreadable;
		out->counters[ML_COUNTER_MAPPINGS_BEYOND_LIMIT] += attached->beyond_limit;
		out->counters[ML_COUNTER_FUNCTIONS_NOT_PROBED] += attached->refused.count;
		out->counters[ML_COUNTER_FUNCTIONS_BY_IMPORTS] += attached->by_imports.count;
		out->counters[ML_COUNTER_FUNCTIONS_LATE] += attached->late;
	}
	out->counters[ML_COUNTER_UNWIND_TABLE_FULL] +=
		ml_unwind_tables_refused(processes->common.rows.tables);
}

/* ---- stacks ---------------------------------------------------------------------------------- */

const struct ml_stack *ml_agent_processes_stack(struct ml_agent_processes *processes, uint64_t id)
{
	const struct ml_stack *stack = ml_stack_store_get(processes->stacks, id);
	uint32_t index = ml_agent_books_index(id);
	struct ml_agent_attached *attached;
	struct ml_stack_record record;
	struct ml_python_record functions;

	if (stack || index >= processes->list.count ||
	    !ml_agent_books_stack(&processes->list.items[index]->books, id, &record, &functions))
		return stack;
	attached = &processes->list.items[index]->attached;
	ml_agent_pythons_name(&attached->pythons, attached->process, id, &functions);

	ML_FREE_CLEANUP struct ml_python_stack *python =
		ml_agent_pythons_take(&attached->pythons, id);

	return ml_java_process_add(&attached->java, attached->process, processes->stacks, id,
				   &record, &attached->code, python);
}

static void resolve(void *context, uint64_t id)
{
	ml_agent_processes_stack(context, id);
}

/* Names all addresses while the code they run through is still known. */
static void resolve_all(struct ml_agent_processes *processes,
			const struct ml_agent_process *process)
{
	ml_agent_books_each_stack(&process->books, resolve, processes);
}

static bool has_names_to_read(const struct ml_agent_process *process)
{
	return process->attached.java.vm.layout.end ||
	       process->attached.pythons.python.layout.main_interpreter;
}

/* Reads the names of the functions of Python and Java of stacks that are new; of many, the next
 * ones at the next tick, since threads may wait to be told of code that was loaded. */
static void read_names(struct ml_agent_process *process)
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

static void read_maps(struct ml_agent_processes *processes, struct ml_agent_process *process)
{
	struct ml_map_event event;

	/* One that adds to them without end is not to keep us. */
	for (uint32_t i = 0;
	     i < ML_AGENT_MAP_EVENTS && ml_agent_books_next_map(&process->books, &event); i++) {
		const struct ml_stack *stack =
			event.stack ? ml_agent_processes_stack(processes, event.stack) : NULL;

		event.is_library = event.role == ML_ROLE_MUNMAP
					   ? ml_code_map_is_static(&process->attached.code)
					   : ml_libc_internal_stack(stack);
		ml_map_books_add(processes->map_books, &event);
	}
}

void ml_agent_processes_read(struct ml_agent_processes *processes, struct ml_agent_process *process)
{
	read_names(process);
	read_maps(processes, process);
}

/* ---- attaching --------------------------------------------------------------------------------
 */

/* A process from which the newest may have been forked: any that has an agent where it has one. */
static const struct ml_agent_attached *parent_of(const struct ml_agent_processes *processes,
						 const struct ml_process *target)
{
	ml_array_each (process, &processes->list)
		if (ml_agent_process_is_attached(*process) &&
		    (*process)->attached.process != target &&
		    ml_injection_is_inherited(target, &(*process)->attached.injection))
			return &(*process)->attached;
	return NULL;
}

static struct ml_agent_process *add(struct ml_agent_processes *processes, struct ml_process *target)
{
	struct ml_agent_process *process = ml_alloc(sizeof(*process));

	process->pid = ml_process_pid(target);
	process->is_taken = true;
	process->attached.common = &processes->common;
	process->attached.process = target;
	process->attached.injection.fd = -1;
	process->books.index = (uint32_t)processes->list.count;
	*ml_array_push(&processes->list) = process;
	return process;
}

static struct ml_error *attach(struct ml_agent_processes *processes,
			       struct ml_agent_process *process,
			       const struct ml_agent_takeover *takeover)
{
	const struct ml_agent_attached *parent =
		takeover ? NULL : parent_of(processes, process->attached.process);
	struct ml_error *error = ml_agent_attach(&process->attached, parent, takeover);
	const struct ml_agent_header *header;

	process->books.memory = process->attached.injection.memory;
	process->books.fd = process->attached.injection.fd;
	process->books.pid = process->pid;
	process->books.lines = process->attached.room_lines;
	process->books.map_tail = 0;
	if (error)
		return error;
	header = &process->books.memory->header;
	ml_agent_profile_add(processes->profile, process->pid, header);
	if (processes->images.count < IMAGES_LIMIT)
		*ml_array_push(&processes->images) = header->image.start;
	return NULL;
}

struct ml_error *ml_agent_processes_add(struct ml_agent_processes *processes,
					struct ml_process *target)
{
	pid_t pid = ml_process_pid(target);
	struct ml_agent_process *process = ml_agent_processes_find(processes, pid);

	if (process && process->is_taken && process->attached.process == target)
		return ml_agent_process_is_attached(process)
			       ? ml_agent_processes_look(processes, process)
			       : attach(processes, process, NULL);

	struct ml_error *error = attach(processes, add(processes, target), NULL);

	/* One without an allocator may be starting. */
	if (error && ml_error_kind(error) != ML_ERROR_UNSUPPORTED)
		ml_agent_processes_remove(processes, pid, false);
	return error;
}

struct ml_error *ml_agent_processes_take_over(struct ml_agent_processes *processes,
					      struct ml_process *target,
					      const struct ml_agent_takeover *takeover)
{
	struct ml_error *error;

	processes->common.takes_over = true;
	error = attach(processes, add(processes, target), takeover);
	if (error)
		ml_agent_processes_remove(processes, ml_process_pid(target), false);
	return error;
}

struct ml_error *ml_agent_processes_renew(struct ml_agent_processes *processes,
					  struct ml_process *target)
{
	ml_agent_processes_remove(processes, ml_process_pid(target), false);
	ml_error_free(ml_process_refresh(target));
	return ml_agent_processes_add(processes, target);
}

/* ---- looking ----------------------------------------------------------------------------------
 */

struct ml_error *ml_agent_processes_look(struct ml_agent_processes *processes,
					 struct ml_agent_process *process)
{
	struct ml_error *error;
	enum ml_agent_look found = ml_agent_look(&process->attached, false, &error);

	if (found == ML_AGENT_NEW)
		return ml_agent_processes_renew(processes, process->attached.process);
	if (found == ML_AGENT_SAME)
		return error;
	resolve_all(processes, process);
	ml_agent_look(&process->attached, true, &error);
	return error;
}

void ml_agent_processes_look_again(struct ml_agent_processes *processes,
				   struct ml_agent_process *process)
{
	const struct ml_process *target = process->attached.process;
	struct ml_agent_loads loads = ml_agent_loads_begin(&process->attached);
	ML_ERROR_CLEANUP struct ml_error *error = ml_agent_processes_look(processes, process);

	process->is_due = false;
	if (ml_agent_process_is_attached(process))
		ml_agent_loads_end(&process->attached, &loads);
	/* Gone in between is no news. */
	if (error && ml_error_kind(error) != ML_ERROR_UNSUPPORTED && ml_process_is_alive(target))
		ml_agent_processes_note(processes, ml_error_message(error));
}

/* ---- the end ----------------------------------------------------------------------------------
 */

static void note_stops(const struct ml_agent_processes *processes,
		       const struct ml_agent_process *process)
{
	const struct ml_agent_header *header = &process->books.memory->header;
	ML_STRBUF_CLEANUP struct ml_strbuf text = {0};

	ml_strbuf_printf(&text, "process %d was stopped %llu times, for %llu microseconds at most:",
			 process->pid, (unsigned long long)header->stops,
			 (unsigned long long)header->longest_stop_ns / 1000);
	for (size_t i = 0; i < header->stops && i < ML_AGENT_STOPS; i++)
		ml_strbuf_printf(&text, " %llu", (unsigned long long)header->stop_ns[i] / 1000);
	ml_agent_processes_note(processes, text.text);
}

/* Takes the agent out and its books over. */
static void detach(struct ml_agent_processes *processes, struct ml_agent_process *process)
{
	ML_ERROR_CLEANUP struct ml_error *error = ml_agent_detach(&process->attached);

	if (error)
		ml_agent_processes_note(processes, ml_error_message(error));
	if (processes->common.options->verbose)
		note_stops(processes, process);
	read_maps(processes, process);
	resolve_all(processes, process);
	ml_agent_calls_keep(&process->calls, process->books.memory, process->attached.process);
	ml_agent_prior_settle(&process->prior, process->books.memory);
	ml_agent_profile_drop(processes->profile, process->pid);
	ml_agent_books_freeze(&process->books);
	ml_agent_close(&process->attached);
}

void ml_agent_processes_remove(struct ml_agent_processes *processes, pid_t pid, bool keep)
{
	struct ml_agent_process *process = ml_agent_processes_find(processes, pid);

	if (!process)
		return;
	if (ml_agent_process_is_attached(process))
		detach(processes, process);
	process->is_taken = false;
	process->attached.process = NULL;
	if (keep)
		return;
	ml_map_books_settle(processes->map_books);
	ml_map_books_forget(processes->map_books, pid);
	ml_agent_books_forget(&process->books);
	ml_agent_forget_functions(&process->attached);
	ml_agent_prior_deinit(&process->prior);
}

void ml_agent_processes_detach(struct ml_agent_processes *processes)
{
	ml_array_each (process, &processes->list) {
		if (!ml_agent_process_is_attached(*process))
			continue;
		detach(processes, *process);
		(*process)->is_taken = false;
	}
	if (ml_agent_heirs_clean(processes->images.items, processes->images.count))
		ml_agent_processes_note(
			processes, "a forked child of the process keeps the agent's stubs, which "
				   "only let its calls through: a thread is in them, or it is "
				   "debugged");
	processes->images.count = 0;
}

struct ml_error *ml_agent_processes_init(struct ml_agent_processes *processes,
					 const struct ml_tracer_options *options)
{
	struct ml_error *error = ml_agent_heart_create(&processes->common.heart);

	processes->common.options = options;
	processes->common.modules = ml_module_cache_create();
	processes->map_books = ml_map_books_create();
	processes->stacks = ml_stack_store_create();
	if (!error)
		error = ml_agent_rows_init(&processes->common.rows);
	if (!error && !options->trace_calls)
		ml_error_free(ml_agent_profile_open(&processes->profile));
	return error;
}

void ml_agent_processes_deinit(struct ml_agent_processes *processes)
{
	ml_array_each (process, &processes->list) {
		ml_agent_attached_deinit(&(*process)->attached);
		ml_agent_books_forget(&(*process)->books);
		ml_agent_prior_deinit(&(*process)->prior);
		ml_agent_sampling_deinit(&(*process)->sampling);
		ml_agent_calls_deinit(&(*process)->calls);
		free(*process);
	}
	ml_array_free(&processes->list);
	ml_array_free(&processes->images);
	ml_agent_profile_close(processes->profile);
	ml_agent_heart_destroy(processes->common.heart);
	ml_agent_rows_deinit(&processes->common.rows);
	ml_function_names_deinit(&processes->common.functions);
	ml_u64map_free(&processes->common.lockers);
	ml_map_books_destroy(processes->map_books);
	ml_stack_store_destroy(processes->stacks);
	ml_module_cache_destroy(processes->common.modules);
}

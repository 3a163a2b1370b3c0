/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/bpf_processes.h"

#include "base/clock.h"
#include "base/file.h"
#include "trace/agent_left.h"
#include "trace/bpf_forget.h"
#include "user.skel.h"

#include <bpf/bpf.h>
#include <stdlib.h>

/* How often maps are read again for code that nobody told of. */
#define LOOK_INTERVAL_NS (100 * ML_NS_PER_MS)

struct ml_bpf_process *ml_bpf_processes_find(const struct ml_bpf_processes *processes, pid_t pid)
{
	/* The newest first: a pid can come back. */
	for (size_t i = processes->list.count; i-- > 0;)
		if (processes->list.items[i]->pid == pid)
			return processes->list.items[i];
	return NULL;
}

/* ---- stacks -----------------------------------------------------------------------------------
 */

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
static void learn_code(struct ml_bpf_processes *processes, struct ml_bpf_process *process,
		       const struct ml_stack_record *record)
{
	uint64_t now_ns = ml_monotonic_ns();

	if (!process->is_attached || now_ns - process->looked_ns < LOOK_INTERVAL_NS ||
	    !has_unknown_code(process, record))
		return;
	process->looked_ns = now_ns;
	ml_error_free(ml_bpf_processes_look(processes, process));
}

const struct ml_stack *ml_bpf_processes_stack(struct ml_bpf_processes *processes, uint64_t id)
{
	const struct ml_stack *stack = ml_stack_store_get(processes->stacks, id);
	struct ml_stack_record record;

	if (stack || !ml_bpf_books_stack(&processes->books, id, &record))
		return stack;

	struct ml_bpf_process *process = ml_bpf_processes_find(processes, (pid_t)record.tgid);

	if (!process)
		return ml_stack_store_add(processes->stacks, id, &record, NULL, NULL, NULL);

	/* Which may take this stack, too. */
	learn_code(processes, process, &record);
	stack = ml_stack_store_get(processes->stacks, id);
	if (stack)
		return stack;

	ML_FREE_CLEANUP struct ml_python_stack *python =
		ml_bpf_python_take(processes->python, process, id);

	return ml_java_process_add(&process->java, process->is_attached ? process->process : NULL,
				   processes->stacks, id, &record, &process->code, python);
}

void ml_bpf_processes_take_stacks(struct ml_bpf_processes *processes)
{
	uint64_t id, next;
	int more = bpf_map_get_next_key(processes->books.stacks_fd, NULL, &next);

	while (!more) {
		id = next;
		ml_bpf_processes_stack(processes, id);
		more = bpf_map_get_next_key(processes->books.stacks_fd, &id, &next);
	}
}

static void take_stack(void *context, uint64_t id, const struct ml_stack_record *record)
{
	(void)record;
	ml_bpf_processes_stack(context, id);
}

void ml_bpf_processes_take_stacks_of(struct ml_bpf_processes *processes, pid_t pid)
{
	ml_bpf_books_each_stack(&processes->books, pid, take_stack, processes);
}

void ml_bpf_processes_take_python(struct ml_bpf_processes *processes)
{
	struct ml_stack_ids ids = {0};

	ml_bpf_python_list(processes->python, &ids);
	ml_array_each (id, &ids) {
		if (ml_bpf_processes_stack(processes, *id))
			ml_bpf_python_forget(processes->python, *id);
	}
	ml_array_free(&ids);
}

static void hear_names(void *context, const struct ml_name_event *event)
{
	struct ml_bpf_processes *processes = context;
	struct ml_bpf_process *process = ml_bpf_processes_find(processes, (pid_t)event->tgid);
	struct ml_stack_record record;

	if (!process)
		return;
	ml_bpf_python_name(processes->python, process, event->stack);
	if (ml_bpf_books_stack(&processes->books, event->stack, &record))
		ml_java_process_name(&process->java, process->is_attached ? process->process : NULL,
				     &record);
}

/* ---- attaching and detaching ------------------------------------------------------------------
 */

static void before_removal(void *context)
{
	ml_bpf_processes_take_stacks(context);
}

struct ml_error *ml_bpf_processes_look(struct ml_bpf_processes *processes,
				       struct ml_bpf_process *process)
{
	return ml_bpf_process_look(process, &processes->attach, before_removal, processes);
}

static struct ml_bpf_process *begin(struct ml_bpf_processes *processes, struct ml_process *target)
{
	struct ml_bpf_process *process = ml_alloc(sizeof(*process));

	process->process = target;
	process->pid = ml_process_pid(target);
	process->is_attached = true;
	*ml_array_push(&processes->list) = process;
	return process;
}

static struct ml_error *attach(struct ml_bpf_processes *processes, struct ml_bpf_process *process)
{
	struct ml_error *error = ml_bpf_processes_look(processes, process);

	if (!error && !ml_bpf_process_has_probes(process))
		error = ml_bpf_process_no_allocator(process, &processes->attach);
	if (error && ml_error_kind(error) != ML_ERROR_UNSUPPORTED)
		ml_bpf_process_detach(process, &processes->attach, false);
	else if (processes->loads)
		ml_bpf_loads_listen(processes->loads, process->pid);
	return error;
}

struct ml_error *ml_bpf_processes_add(struct ml_bpf_processes *processes, struct ml_process *target)
{
	struct ml_bpf_process *process = ml_bpf_processes_find(processes, ml_process_pid(target));

	if (!process || process->process != target || !process->is_attached) {
		struct ml_error *error = ml_agent_left_clean(target, processes->attach.options);

		if (error)
			return error;
		process = begin(processes, target);
	}
	return attach(processes, process);
}

/* Everything booked of @pid is forgotten: its memory is gone. */
static void forget_books(struct ml_bpf_processes *processes, pid_t pid)
{
	ml_bpf_forget(&processes->books, pid);
	ml_map_books_forget(processes->map_books, pid);
}

void ml_bpf_processes_remove(struct ml_bpf_processes *processes, pid_t pid, bool keep)
{
	struct ml_bpf_process *process = ml_bpf_processes_find(processes, pid);

	if (!process)
		return;
	if (keep)
		ml_bpf_processes_take_stacks_of(processes, pid);
	if (process->is_attached)
		ml_bpf_process_detach(process, &processes->attach,
				      !ml_process_is_alive(process->process));
	if (!keep)
		forget_books(processes, pid);
}

/* The old program's memory is gone, its probes are the new one's: the kernel would take a tenth of
 * a second to take them out and put them in again. */
struct ml_error *ml_bpf_processes_renew(struct ml_bpf_processes *processes,
					struct ml_bpf_process *process)
{
	struct ml_process *target = process->process;
	struct ml_bpf_process *fresh;

	forget_books(processes, process->pid);
	fresh = begin(processes, target);
	ml_bpf_process_inherit(fresh, process);
	ml_bpf_process_detach(process, &processes->attach, false);
	/* Its name as it was is better than none, when it is gone already. */
	ml_error_free(ml_process_refresh(target));
	return attach(processes, fresh);
}

void ml_bpf_processes_listen(struct ml_bpf_processes *processes, struct ml_bpf_loads *loads)
{
	processes->loads = loads;
	ml_array_each (process, &processes->list)
		if ((*process)->is_attached)
			ml_bpf_loads_listen(loads, (*process)->pid);
}

void ml_bpf_processes_count(const struct ml_bpf_processes *processes, struct ml_snapshot *out)
{
	out->counters[ML_COUNTER_UNWIND_TABLE_FULL] +=
		ml_unwind_tables_refused(processes->attach.unwind);
	ml_array_each (item, &processes->list) {
		const struct ml_bpf_process *process = *item;

		out->counters[ML_COUNTER_MODULES_UNREADABLE] += process->code.unreadable;
		out->counters[ML_COUNTER_MAPPINGS_BEYOND_LIMIT] += process->beyond_limit;
		out->counters[ML_COUNTER_FUNCTIONS_NOT_PROBED] += process->not_probed;
		out->counters[ML_COUNTER_FUNCTIONS_LATE] += process->late;
	}
}

/* ---- life -------------------------------------------------------------------------------------
 */

static struct ml_bpf_attach attach_by(struct ml_bpf_processes *processes,
				      const struct ml_tracer_options *options,
				      const struct ml_bpf_loaded *loaded)
{
	const struct ml_user_bpf *skeleton = loaded->skeleton;

	return (struct ml_bpf_attach){
		.options = options,
		.modules = ml_module_cache_create(),
		.unwind = ml_unwind_tables_create(
			bpf_map__fd(skeleton->maps.rows), loaded->row_limit,
			bpf_map__fd(skeleton->maps.pages), loaded->page_limit),
		.functions = &processes->functions,
		.keeper = ml_link_keeper_create(),
		.kind = loaded->kind,
		.processes_fd = bpf_map__fd(skeleton->maps.processes),
		.call_fd = bpf_program__fd(skeleton->progs.on_call),
		.entry_fd = bpf_program__fd(skeleton->progs.on_entry),
		.return_fd = bpf_program__fd(skeleton->progs.on_return),
		.free_fd = bpf_program__fd(skeleton->progs.on_free),
		.load_fd = bpf_program__fd(skeleton->progs.on_load),
		.throws = ml_bpf_throws_create(options, bpf_program__fd(skeleton->progs.on_throw),
					       bpf_map__fd(skeleton->maps.throw_events),
					       bpf_map__fd(skeleton->maps.throws_mended)),
	};
}

struct ml_error *ml_bpf_processes_init(struct ml_bpf_processes *processes,
				       const struct ml_tracer_options *options,
				       const struct ml_bpf_loaded *loaded)
{
	const struct ml_user_bpf *skeleton = loaded->skeleton;

	processes->books = (struct ml_bpf_books){
		.sites_fd = bpf_map__fd(skeleton->maps.sites),
		.live_fd = bpf_map__fd(skeleton->maps.live),
		.stacks_fd = bpf_map__fd(skeleton->maps.stacks),
		.counters_fd = bpf_map__fd(skeleton->maps.counters),
		.counters_per_cpu = true,
	};
	processes->attach = attach_by(processes, options, loaded);
	processes->map_books = ml_map_books_create();
	processes->stacks = ml_stack_store_create();
	return ml_bpf_python_open(bpf_map__fd(skeleton->maps.python_stacks),
				  bpf_map__fd(skeleton->maps.name_events), hear_names, processes,
				  &processes->python);
}

void ml_bpf_processes_deinit(struct ml_bpf_processes *processes)
{
	ml_array_each (process, &processes->list) {
		ml_bpf_process_deinit(*process);
		free(*process);
	}
	ml_array_free(&processes->list);
	ml_bpf_python_close(processes->python);
	ml_map_books_destroy(processes->map_books);
	ml_stack_store_destroy(processes->stacks);
	ml_unwind_tables_destroy(processes->attach.unwind);
	ml_module_cache_destroy(processes->attach.modules);
	ml_link_keeper_destroy(processes->attach.keeper);
	ml_bpf_throws_destroy(processes->attach.throws);
	ml_function_names_deinit(&processes->functions);
}

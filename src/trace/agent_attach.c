/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/agent_attach.h"

#include "base/file.h"
#include "base/strbuf.h"
#include "shared/sample_weight.h"
#include "trace/agent_functions.h"
#include "trace/agent_imports.h"
#include "trace/agent_left.h"
#include "trace/agent_lock.h"
#include "trace/agent_prior.h"
#include "trace/agent_room.h"
#include "trace/process_allocators.h"

#include <errno.h>
#include <string.h>

/* Of the room for blocks, what stacks may have beside it, and again their words; a stack beside
 * these: its record, its sites, its slots of the index. */
#define STACK_SHARE  4u
#define STACK_BYTES  64u
#define MAP_ATTEMPTS 3

/* A process may load ever more libraries with functions that cannot be patched. */
#define TOLD_LIMIT 256

static void note(const struct ml_agent_attached *attached, const char *text)
{
	ml_tracer_note(attached->common->options, text);
}

/* The same function is looked at again each time when code has gone. */
static void note_once(struct ml_agent_attached *attached, const char *text)
{
	bool is_new = false;

	if (attached->told.entries.count < TOLD_LIMIT)
		ml_intern_text(&attached->told, text, &is_new);
	if (is_new)
		note(attached, text);
}

/* Another part of the tool may hold the process by ptrace, as the steps of an injection do. What is
 * held for us just now stays so. */
static bool take_turn(const struct ml_agent_attached *attached, bool begins)
{
	const struct ml_tracer_options *options = attached->common->options;

	return !options->ptrace_turn || ml_process_is_held(attached->process) ||
	       options->ptrace_turn(options->turn_context, ml_process_pid(attached->process),
				    begins);
}

/* ---- the agent's view of the code ----------------------------------------------------------- */

/* Room for code of no file, such as a JIT's: the agent needs to know only that it is known. Without
 * that room it is not to wait for us to tell of it. */
static bool has_room_for_all(const struct ml_code_map *code)
{
	return code->mapped_count <= ML_PROCESS_MAPS;
}

static void tell_map(const struct ml_agent_attached *attached, const struct ml_code *code,
		     const struct ml_allocators *allocators, struct ml_process_map *out)
{
	*out = (struct ml_process_map){.start = code->start, .end = code->end};
	if (!code->module)
		return;
	ml_unwind_tables_describe(attached->common->rows.tables, code->module, code->bias, out);
	if (ml_allocators_own(allocators, code->module))
		out->flags |= ML_PROCESS_MAP_ALLOCATOR;
}

static void tell_maps(struct ml_agent_attached *attached, const struct ml_allocators *allocators)
{
	struct ml_agent_memory *memory = attached->injection.memory;
	uint32_t next = !(memory->maps_current & 1), count = 0;
	struct ml_process_maps *maps = &memory->maps[next];
	bool tells_all = has_room_for_all(&attached->code);

	ml_java_find(&attached->code, attached->process, &attached->java.vm);
	maps->java = attached->java.vm.layout;
	ml_python_find(&attached->code, attached->process, &attached->pythons.python);
	maps->python = attached->pythons.python.layout;
	attached->beyond_limit = 0;
	for (size_t i = 0; i < attached->code.mapped_count; i++) {
		const struct ml_code *code = &attached->code.list.items[i];

		if (!code->module && !tells_all)
			continue;
		if (count == ML_PROCESS_MAPS)
			attached->beyond_limit++;
		else
			tell_map(attached, code, allocators, &maps->map[count++]);
	}
	maps->count = count;
	if (!tells_all)
		__atomic_store_n(&memory->is_listening, 0, __ATOMIC_RELAXED);
	ml_agent_rows_copy(&attached->common->rows, memory, &attached->rows_told);
	__atomic_store_n(&memory->maps_current, next, __ATOMIC_RELEASE);
	__atomic_add_fetch(&memory->epoch, 1, __ATOMIC_RELEASE);
}

/* ---- attaching --------------------------------------------------------------------------------
 */

/* Lines for as many blocks as the user allows; two thirds of their places are used. */
static uint32_t line_count(const struct ml_tracer_options *options)
{
	uint64_t lines = (uint64_t)options->max_blocks * 3 / (2 * ML_AGENT_LINE_BLOCKS) + 16;

	return options->max_blocks && lines < ML_AGENT_LINES ? (uint32_t)lines : ML_AGENT_LINES;
}

/* Whether it gives out many blocks of one size side by side, as most but glibc's do. */
static bool has_slabs(const struct ml_allocator *allocator)
{
	static const char *const slabs[] = {"jemalloc", "tcmalloc", "mimalloc", "tbbmalloc",
					    "musl",     "other",    NULL};

	for (size_t i = 0; slabs[i]; i++)
		if (!strcmp(allocator->kind, slabs[i]))
			return true;
	return false;
}

static void configure(struct ml_agent_attached *attached, const struct ml_allocators *allocators)
{
	const struct ml_tracer_options *options = attached->common->options;
	struct ml_agent_memory *memory = attached->injection.memory;
	uint32_t stacks = options->max_stacks && options->max_stacks < ML_AGENT_STACKS
				  ? options->max_stacks + 1
				  : ML_AGENT_STACKS;

	/* --trace prints every call, sampled or not. */
	memory->config = (struct ml_trace_config){
		.min_size = options->min_size,
		.max_size = options->max_size ? options->max_size : UINT64_MAX,
		.sample_every =
			options->sample_every && !options->trace_calls ? options->sample_every : 1,
		.sample_bytes = options->trace_calls ? 0 : options->sample_bytes,
		.trace_calls = options->trace_calls,
		.depth = options->max_depth && options->max_depth < ML_STACK_DEPTH
				 ? options->max_depth
				 : ML_STACK_DEPTH,
	};
	memory->is_static = 0;
	memory->is_listening = 0;
	memory->epoch_waited = 0;
	memory->always_bytes = ML_ALWAYS_SAMPLED * memory->config.sample_bytes;
	memory->is_exact =
		memory->config.sample_every <= 1 && !memory->always_bytes && !options->trace_calls;
	memory->start_ns = memory->now_ns;
	if (attached->room_lines > line_count(options))
		attached->room_lines = line_count(options);
	memory->line_limit = attached->room_lines;
	memory->tgid = (uint32_t)ml_process_pid(attached->process);
	memory->stack_limit = stacks < attached->room_stacks ? stacks : attached->room_stacks;
	memory->word_limit = attached->room_words;
	memory->line_factor = ML_AGENT_LINES_ORDERED;
	ml_array_each (allocator, &allocators->list) {
		memory->is_static |= ml_module_is_static(allocator->module);
		if (has_slabs(allocator))
			memory->line_factor = ML_AGENT_LINES_SPREAD;
	}
}

static void warn_of_exceptions(struct ml_agent_attached *attached,
			       const struct ml_injection_function *function)
{
	ML_STRBUF_CLEANUP struct ml_strbuf text = {0};

	ml_strbuf_printf(&text,
			 "an exception that %s throws would end the program: with --backend bpf it "
			 "passes",
			 function->name);
	note_once(attached, ml_strbuf_text(&text));
}

/* A convenience: what comes of it where the loader does not wait is counted. */
static void take_loader(struct ml_agent_attached *attached, struct ml_injection_outcome *outcome)
{
	attached->has_loader = !outcome->refused || outcome->is_by_imports;
	ml_error_free(outcome->refused);
	outcome->refused = NULL;
}

/* What is said of a function that is not patched at its start. */
static void take_outcome(struct ml_agent_attached *attached,
			 const struct ml_injection_function *function,
			 struct ml_injection_outcome *outcome)
{
	if (function->role == ML_ROLE_LOADED) {
		take_loader(attached, outcome);
		return;
	}
	if (!outcome->refused || outcome->is_by_imports)
		attached->patched++;
	if (function->may_throw && !outcome->refused)
		warn_of_exceptions(attached, function);
	if (!outcome->is_by_imports && outcome->refused) {
		ml_agent_function_refuse(attached, function->address);
		outcome->refused =
			ml_error_wrap(outcome->refused, "%s is not traced", function->name);
	} else if (outcome->is_by_imports &&
		   !ml_agent_function_is_by_imports(attached, function->address)) {
		*ml_array_push(&attached->by_imports) = function->address;
		if (outcome->refused)
			outcome->refused = ml_error_wrap(
				outcome->refused,
				"%s is traced only where other modules call it, not within %s or "
				"by pointers",
				function->name, ml_module_name(function->module));
	}
}

static struct ml_error *arm(struct ml_agent_attached *attached,
			    const struct ml_agent_functions *functions)
{
	struct ml_agent_imports where = {.process = attached->process, .code = &attached->code};
	const struct ml_injection_imports imports = {.find = ml_agent_imports_find,
						     .context = &where};
	size_t count = functions->list.count;
	ML_FREE_CLEANUP struct ml_injection_outcome *outcomes =
		ml_alloc(sizeof(*outcomes) * (count + 1));
	struct ml_error *error = ml_injection_arm(&attached->injection, functions->list.items,
						  count, &imports, outcomes);

	for (size_t i = 0; i < count; i++) {
		if (!error)
			take_outcome(attached, &functions->list.items[i], &outcomes[i]);
		if (!error && outcomes[i].refused)
			note_once(attached, ml_error_message(outcomes[i].refused));
		ml_error_free(outcomes[i].refused);
	}
	return error;
}

/* With the memory there: the rest, or everything out again. */
static struct ml_error *begin(struct ml_agent_attached *attached,
			      const struct ml_allocators *allocators,
			      const struct ml_agent_functions *functions)
{
	struct ml_error *error =
		ml_agent_heart_add(attached->common->heart, attached->injection.memory,
				   ml_process_pid(attached->injection.process));

	attached->rows_told = (struct ml_agent_rows_copy){0};
	configure(attached, allocators);
	tell_maps(attached, allocators);
	if (!error && functions)
		error = arm(attached, functions);
	else if (!error)
		error = ml_injection_wake(&attached->injection);
	if (!error) {
		__atomic_store_n(&attached->injection.memory->is_listening,
				 has_room_for_all(&attached->code), __ATOMIC_RELAXED);
		return NULL;
	}
	ml_error_free(ml_injection_remove(&attached->injection));
	ml_agent_close(attached);
	return error;
}

static uint32_t fit(uint64_t bytes, uint64_t item_bytes, uint32_t most)
{
	return bytes / item_bytes < most ? (uint32_t)(bytes / item_bytes) : most;
}

static struct ml_error *find_room(struct ml_agent_attached *attached)
{
	uint64_t bytes;
	struct ml_error *error = ml_agent_room_find(ml_process_pid(attached->process), &bytes);

	attached->room_lines = fit(bytes, sizeof(struct ml_agent_line), ML_AGENT_LINES);
	attached->room_stacks = fit(bytes / STACK_SHARE, STACK_BYTES, ML_AGENT_STACKS);
	attached->room_words = fit(bytes / STACK_SHARE, sizeof(uint64_t), ML_AGENT_WORDS);
	return error;
}

static size_t memory_bytes(const struct ml_tracer_options *options)
{
	return sizeof(struct ml_agent_memory) + line_count(options) * sizeof(struct ml_agent_line);
}

struct ml_error *ml_agent_check_room(pid_t pid, const struct ml_tracer_options *options)
{
	uint64_t bytes;
	struct ml_error *error = ml_agent_room_find(pid, &bytes);

	return error ? error : ml_injection_check_room(pid, memory_bytes(options));
}

static bool is_left(const struct ml_process *process)
{
	struct ml_injection_left left;
	ML_ERROR_CLEANUP struct ml_error *error = ml_injection_find(process, &left);

	return !error && left.kind == ML_INJECTION_STALE;
}

/* What a killed memleak had begun may get an agent in between our look and our turn: then both are
 * taken again. */
static struct ml_error *map_alone(struct ml_agent_attached *attached,
				  const struct ml_agent_functions *functions, size_t size)
{
	struct ml_error *error;

	for (int i = 0;; i++) {
		error = ml_agent_left_clean(attached->process, attached->common->options);
		if (!error)
			error = ml_injection_map(attached->process, functions->list.items,
						 functions->list.count, size, &attached->injection);
		if (!error || i == MAP_ATTEMPTS || !is_left(attached->process))
			return error;
		ml_error_free(error);
	}
}

static struct ml_error *inject(struct ml_agent_attached *attached,
			       const struct ml_allocators *allocators,
			       const struct ml_agent_takeover *takeover)
{
	size_t size = memory_bytes(attached->common->options);
	pid_t pid = ml_process_pid(attached->process);
	struct ml_agent_functions functions = {0};
	struct ml_error *error = NULL;

	ml_array_each (allocator, &allocators->list)
		ml_agent_functions_add(attached, allocator, &functions);
	if (functions.list.count)
		ml_agent_functions_add_loader(attached, &functions);
	if (!functions.list.count)
		error = ml_allocators_none(allocators, &attached->code, pid);
	else if (!take_turn(attached, true))
		error = ml_error_coded(ML_ERROR_UNSUPPORTED, EAGAIN,
				       "process %d is just starting a program or forking; it is "
				       "tried again",
				       pid);
	if (!error) {
		error = map_alone(attached, &functions, size);
		if (!error && takeover) {
			attached->injection.patched = takeover->patched;
			attached->injection.patched_context = takeover->context;
			ml_agent_prior_expect(attached->injection.memory);
		}
		if (!error)
			error = begin(attached, allocators, &functions);
		take_turn(attached, false);
	}
	ml_agent_functions_free(&functions);
	return error;
}

static struct ml_error *look_at_code(struct ml_agent_attached *attached,
				     struct ml_allocators *allocators)
{
	struct ml_maps maps = {0};
	struct ml_error *error = ml_process_maps(attached->process, &maps);

	if (error)
		return error;
	ml_code_map_update(&attached->code, attached->common->modules, attached->process, &maps);
	ml_maps_deinit(&maps);
	return ml_code_map_allocators(&attached->code, &attached->common->options->allocators,
				      allocators);
}

static struct ml_error *patch_listed(struct ml_agent_attached *attached,
				     const struct ml_module *module,
				     const struct ml_agent_functions *functions)
{
	struct ml_error *error = ml_injection_extend(&attached->injection, functions->list.items,
						     functions->list.count);

	if (!error)
		error = arm(attached, functions);
	if (!error)
		return NULL;
	/* What changed just then is looked at again; what could not be patched is not tried each
	 * time. */
	if (ml_error_kind(error) == ML_ERROR_TARGET)
		attached->is_behind = true;
	else
		ml_array_each (function, &functions->list)
			if (!ml_agent_function_is_done(attached, function->address))
				ml_agent_function_refuse(attached, function->address);
	error = ml_error_wrap(error, "the allocation functions of %s are not traced",
			      ml_module_name(module));
	if (ml_error_kind(error) == ML_ERROR_SYSTEM)
		return error;
	if (ml_process_is_alive(attached->process))
		note_once(attached, ml_error_message(error));
	ml_error_free(error);
	return NULL;
}

/* New allocators: those of a library that was loaded now, or again. One that cannot be traced is
 * not to cost the others. */
static struct ml_error *patch_new(struct ml_agent_attached *attached,
				  const struct ml_allocators *allocators)
{
	struct ml_error *error = NULL;

	attached->is_behind = false;
	ml_array_each (allocator, &allocators->list) {
		struct ml_agent_functions functions = {0};

		ml_agent_functions_add(attached, allocator, &functions);
		if (functions.list.count && take_turn(attached, true)) {
			struct ml_error *other =
				patch_listed(attached, allocator->module, &functions);

			take_turn(attached, false);
			if (error)
				ml_error_free(other);
			else
				error = other;
		} else if (functions.list.count) {
			attached->is_behind = true;
		}
		ml_agent_functions_free(&functions);
	}
	return error;
}

/* Another tracer that has the process already keeps its tables elsewhere. */
static struct ml_error *check_lock(struct ml_agent_attached *attached, bool has_other)
{
	const char *name = ml_agent_lock_find(&attached->code, &attached->common->lockers);
	struct ml_error *error;

	if (!name)
		return NULL;
	error = ml_error_new(ML_ERROR_TARGET,
			     "process %d may lock all of its memory (%s calls mlockall), which "
			     "would fill the agent's tables, too, %zu MiB: --backend bpf keeps "
			     "them elsewhere",
			     ml_process_pid(attached->process), name,
			     memory_bytes(attached->common->options) >> 20);
	if (has_other)
		return error;
	note_once(attached, ml_error_message(error));
	ml_error_free(error);
	return NULL;
}

struct ml_error *ml_agent_attach(struct ml_agent_attached *attached,
				 const struct ml_agent_attached *parent,
				 const struct ml_agent_takeover *takeover)
{
	struct ml_allocators allocators = {0};
	struct ml_error *error = find_room(attached);

	ml_agent_forget_functions(attached);
	attached->is_probed = attached->common->takes_over;
	if (!error)
		error = look_at_code(attached, &allocators);
	if (!error)
		error = check_lock(attached, takeover);
	attached->has_loader = false;
	if (!error && parent && ml_injection_is_inherited(attached->process, &parent->injection)) {
		attached->has_loader = parent->has_loader;
		error = ml_injection_adopt(attached->process, &parent->injection,
					   &attached->injection);
		if (!error)
			error = begin(attached, &allocators, NULL);
		if (!error)
			error = patch_new(attached, &allocators);
	} else if (!error) {
		error = inject(attached, &allocators, takeover);
	}
	attached->is_probed = false;
	attached->injection.patched = NULL;
	ml_allocators_deinit(&allocators);
	return error;
}

/* ---- looking again ----------------------------------------------------------------------------
 */

static struct ml_error *take_changes(struct ml_agent_attached *attached)
{
	struct ml_allocators allocators = {0};
	struct ml_error *error = look_at_code(attached, &allocators);

	if (!error) {
		ml_agent_functions_prune(attached);
		tell_maps(attached, &allocators);
		error = patch_new(attached, &allocators);
	}
	ml_allocators_deinit(&allocators);
	return error;
}

enum ml_agent_look ml_agent_look(struct ml_agent_attached *attached, bool resolved,
				 struct ml_error **error)
{
	const struct ml_agent_header *header = &attached->injection.memory->header;
	struct ml_maps maps = {0};
	ML_ERROR_CLEANUP struct ml_error *unread = ml_process_maps(attached->process, &maps);

	*error = NULL;
	if (unread)
		return ML_AGENT_SAME; /* it ended: its pidfd tells */

	struct ml_code_change change = ml_code_map_compare(&attached->code, &maps);
	const struct ml_mapping *mapping = ml_maps_find(&maps, header->address);
	bool is_there = mapping && mapping->start == header->address && mapping->is_shared;

	ml_maps_deinit(&maps);
	if (!is_there)
		return ML_AGENT_NEW;
	if (change.removed && !resolved)
		return ML_AGENT_REMOVED;

	size_t pruned = ml_injection_prune(&attached->injection);

	if (pruned || change.removed)
		attached->refused.count = 0;
	if (change.added || change.removed || pruned || attached->is_behind)
		*error = take_changes(attached);
	return ML_AGENT_SAME;
}

/* ---- the end ----------------------------------------------------------------------------------
 */

struct ml_error *ml_agent_detach(struct ml_agent_attached *attached)
{
	struct ml_error *error = NULL;

	if (!attached->injection.memory)
		return NULL;
	if (ml_process_is_alive(attached->process)) {
		/* No thread may be waiting for us when it is to be stopped. */
		__atomic_store_n(&attached->injection.memory->is_listening, 0, __ATOMIC_RELAXED);
		take_turn(attached, true);
		error = ml_injection_remove(&attached->injection);
		take_turn(attached, false);
	}
	ml_agent_heart_drop(attached->common->heart, attached->injection.memory);
	return error;
}

void ml_agent_close(struct ml_agent_attached *attached)
{
	ml_agent_heart_drop(attached->common->heart, attached->injection.memory);
	ml_injection_close(&attached->injection);
}

void ml_agent_forget_functions(struct ml_agent_attached *attached)
{
	attached->refused.count = 0;
	attached->by_imports.count = 0;
}

void ml_agent_attached_deinit(struct ml_agent_attached *attached)
{
	ml_agent_close(attached);
	ml_intern_free(&attached->told);
	ml_array_free(&attached->refused);
	ml_array_free(&attached->by_imports);
	ml_code_map_deinit(&attached->code);
	ml_java_process_deinit(&attached->java);
	ml_agent_pythons_deinit(&attached->pythons);
}

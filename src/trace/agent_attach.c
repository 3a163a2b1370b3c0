/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/agent_attach.h"

#include "base/clock.h"
#include "base/file.h"
#include "trace/process_allocators.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_BLOCKS (1u << 21)
#define DEFAULT_STACKS (1u << 16)
#define HEARTBEAT_US   4000
#define STALE_LIMIT    8

/* What is read of a function: to find jumps back to its start. */
#define FUNCTION_BYTES         8192u
#define FUNCTION_BYTES_UNKNOWN 32u

/* The functions of a process, with their bytes. */
struct function_list {
	ML_ARRAY(struct ml_injection_function) list;
};

static void function_list_free(struct function_list *functions)
{
	ml_array_each (function, &functions->list)
		free((void *)function->bytes);
	ml_array_free(&functions->list);
}

static void note(const struct ml_agent_attached *attached, const char *text)
{
	if (attached->options->note)
		attached->options->note(attached->options->note_context, text);
}

/* ---- the heartbeat ----------------------------------------------------------------------------
 */

static void *beat(void *context)
{
	struct ml_agent_attached *attached = context;
	struct ml_agent_memory *memory = attached->injection.memory;

	while (!__atomic_load_n(&attached->stop_heart, __ATOMIC_RELAXED)) {
		__atomic_store_n(&memory->now_ns, ml_monotonic_ns(), __ATOMIC_RELAXED);
		usleep(HEARTBEAT_US);
	}
	return NULL;
}

static struct ml_error *start_heart(struct ml_agent_attached *attached)
{
	sigset_t all, before;
	int err;

	attached->injection.memory->now_ns = ml_monotonic_ns();
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	err = pthread_create(&attached->heart, NULL, beat, attached);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (err)
		return ml_error_errno(err, "cannot start a thread");
	attached->heart_beats = true;
	return NULL;
}

static void stop_heart(struct ml_agent_attached *attached)
{
	if (!attached->heart_beats)
		return;
	__atomic_store_n(&attached->stop_heart, true, __ATOMIC_RELAXED);
	pthread_join(attached->heart, NULL);
	attached->heart_beats = false;
}

/* ---- functions --------------------------------------------------------------------------------
 */

static const struct ml_code *code_of(const struct ml_code_map *map, const struct ml_module *module,
				     uint64_t address)
{
	for (size_t i = 0; i < map->mapped_count; i++) {
		const struct ml_code *code = &map->list.items[i];
		uint64_t at = address + code->bias;

		if (code->module == module && at >= code->start && at < code->end)
			return code;
	}
	return NULL;
}

static void list_function(struct ml_agent_attached *attached, struct ml_module *module,
			  const struct ml_allocator_function *function,
			  struct function_list *functions)
{
	const struct ml_code *code = code_of(&attached->code, module, function->address);
	struct ml_symbol symbol = {0};
	uint64_t size = FUNCTION_BYTES_UNKNOWN;
	uint8_t *bytes;

	if (ml_module_symbol_at(module, function->address, &symbol) && symbol.size)
		size = symbol.size < FUNCTION_BYTES ? symbol.size : FUNCTION_BYTES;
	bytes = ml_alloc(size);
	if (!code || !ml_module_read(module, function->address, bytes, size)) {
		free(bytes);
		attached->not_patched++;
		return;
	}
	*ml_array_push(&functions->list) = (struct ml_injection_function){
		.name = function->name,
		.address = function->address + code->bias,
		.bytes = bytes,
		.size = size,
		.role = function->role,
	};
}

static struct ml_error *list_functions(struct ml_agent_attached *attached,
				       const struct ml_allocators *allocators,
				       struct function_list *functions)
{
	ml_array_each (allocator, &allocators->list)
		ml_array_each (function, &allocator->functions)
			list_function(attached, allocator->module, function, functions);
	if (functions->list.count)
		return NULL;
	return ml_allocators_none(allocators, &attached->code, ml_process_pid(attached->process));
}

/* ---- the agent's view of the code ----------------------------------------------------------- */

static void tell_maps(struct ml_agent_attached *attached, const struct ml_allocators *allocators)
{
	struct ml_agent_memory *memory = attached->injection.memory;
	uint32_t next = !(memory->maps_current & 1);
	struct ml_process_maps *maps = &memory->maps[next];

	maps->count = 0;
	attached->beyond_limit = 0;
	for (size_t i = 0; i < attached->code.mapped_count; i++) {
		const struct ml_code *code = &attached->code.list.items[i];

		if (!code->module)
			continue;
		if (maps->count == ML_PROCESS_MAPS) {
			attached->beyond_limit++;
			continue;
		}

		struct ml_process_map *map = &maps->map[maps->count++];

		*map = (struct ml_process_map){.start = code->start, .end = code->end};
		ml_unwind_tables_describe(attached->unwind, code->module, code->bias, map);
		if (ml_allocators_own(allocators, code->module))
			map->flags |= ML_PROCESS_MAP_ALLOCATOR;
	}
	__atomic_store_n(&memory->maps_current, next, __ATOMIC_RELEASE);
	__atomic_add_fetch(&memory->epoch, 1, __ATOMIC_RELEASE);
}

void ml_agent_tell_code(struct ml_agent_attached *attached, const struct ml_maps *maps)
{
	struct ml_allocators allocators = {0};

	ml_code_map_update(&attached->code, attached->modules, attached->process, maps);

	ML_ERROR_CLEANUP struct ml_error *error = ml_code_map_allocators(
		&attached->code, &attached->options->allocators, &allocators);

	if (!error)
		tell_maps(attached, &allocators);
	ml_allocators_deinit(&allocators);
}

/* ---- attaching --------------------------------------------------------------------------------
 */

static size_t bucket_count(const struct ml_tracer_options *options)
{
	uint64_t blocks = options->max_blocks ? options->max_blocks : DEFAULT_BLOCKS;
	size_t count = 64;

	while (count * ML_AGENT_BLOCKS < blocks + blocks / 2)
		count *= 2;
	return count;
}

static void configure(struct ml_agent_attached *attached, const struct ml_allocators *allocators,
		      size_t buckets)
{
	const struct ml_tracer_options *options = attached->options;
	struct ml_agent_memory *memory = attached->injection.memory;
	uint32_t stacks = options->max_stacks ? options->max_stacks : DEFAULT_STACKS;

	memory->config = (struct ml_trace_config){
		.min_size = options->min_size,
		.max_size = options->max_size ? options->max_size : UINT64_MAX,
		.sample_every = options->sample_every ? options->sample_every : 1,
		.depth = options->max_depth && options->max_depth < ML_STACK_DEPTH
				 ? options->max_depth
				 : ML_STACK_DEPTH,
	};
	memory->bucket_mask = buckets - 1;
	memory->tgid = (uint32_t)ml_process_pid(attached->process);
	memory->stack_limit = stacks < ML_AGENT_STACKS / 2 ? stacks : ML_AGENT_STACKS / 2;
	ml_array_each (allocator, &allocators->list)
		memory->is_static |= ml_module_is_static(allocator->module);
	attached->unwind = ml_unwind_tables_create_in(memory->rows, ML_AGENT_ROWS,
						      memory->row_pages, ML_AGENT_ROW_PAGES);
}

static struct ml_error *arm(struct ml_agent_attached *attached,
			    const struct function_list *functions)
{
	size_t count = functions->list.count;
	ML_FREE_CLEANUP struct ml_error **refused = ml_alloc(sizeof(*refused) * count);
	struct ml_error *error =
		ml_injection_arm(&attached->injection, functions->list.items, count, refused);

	for (size_t i = 0; i < count; i++) {
		if (!refused[i])
			continue;
		attached->not_patched++;
		refused[i] = ml_error_wrap(refused[i], "%s is not traced",
					   functions->list.items[i].name);
		if (!error)
			note(attached, ml_error_message(refused[i]));
		ml_error_free(refused[i]);
	}
	return error;
}

static struct ml_error *inject(struct ml_agent_attached *attached,
			       const struct ml_allocators *allocators)
{
	size_t buckets = bucket_count(attached->options);
	size_t size = sizeof(struct ml_agent_memory) + buckets * sizeof(struct ml_agent_bucket);
	struct function_list functions = {0};
	struct ml_error *error = list_functions(attached, allocators, &functions);

	if (!error)
		error = ml_injection_map(attached->process, functions.list.items,
					 functions.list.count, size, &attached->injection);
	if (!error) {
		error = start_heart(attached);
		configure(attached, allocators, buckets);
		tell_maps(attached, allocators);
		if (!error)
			error = arm(attached, &functions);
		if (error)
			ml_error_free(ml_agent_detach(attached));
	}
	function_list_free(&functions);
	return error;
}

/* What memleaks that were killed left here; two, when the second came at the wrong moment. */
static struct ml_error *clean_up(struct ml_agent_attached *attached)
{
	for (int i = 0; i < STALE_LIMIT; i++) {
		struct ml_injection stale;
		struct ml_error *error = ml_injection_find(attached->process, &stale);

		if (error || !stale.memory)
			return error;
		error = ml_injection_remove(&stale);
		ml_injection_close(&stale);
		if (error)
			return error;
		note(attached, "removed the agent that an earlier memleak left in the process");
	}
	return NULL;
}

static struct ml_error *check(const struct ml_process *process)
{
	if (!ml_process_seccomp(process))
		return NULL;
	return ml_error_new(ML_ERROR_UNSUPPORTED,
			    "process %d has a seccomp filter, which may kill it for the agent's "
			    "system calls; use --backend bpf",
			    ml_process_pid(process));
}

struct ml_error *ml_agent_attach(struct ml_agent_attached *attached)
{
	struct ml_allocators allocators = {0};
	struct ml_maps maps = {0};
	struct ml_error *error = check(attached->process);

	if (!error)
		error = clean_up(attached);
	if (!error)
		error = ml_process_maps(attached->process, &maps);
	if (error)
		return error;
	ml_code_map_update(&attached->code, attached->modules, attached->process, &maps);
	ml_maps_deinit(&maps);
	error = ml_code_map_allocators(&attached->code, &attached->options->allocators,
				       &allocators);
	if (!error)
		error = inject(attached, &allocators);
	ml_allocators_deinit(&allocators);
	return error;
}

struct ml_error *ml_agent_detach(struct ml_agent_attached *attached)
{
	struct ml_error *error = ml_injection_remove(&attached->injection);

	stop_heart(attached);
	return error;
}

void ml_agent_attached_deinit(struct ml_agent_attached *attached)
{
	stop_heart(attached);
	ml_unwind_tables_destroy(attached->unwind);
	ml_injection_close(&attached->injection);
	ml_code_map_deinit(&attached->code);
}

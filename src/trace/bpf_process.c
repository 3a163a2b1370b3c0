/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/bpf_process.h"

#include "base/file.h"
#include "trace/bpf_unwinders.h"
#include "trace/dynamic_loader.h"
#include "trace/process_allocators.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- the kernel's table of mappings --------------------------------------------------------- */

static struct ml_error *tell_kernel(struct ml_bpf_process *process,
				    const struct ml_bpf_attach *attach,
				    const struct ml_allocators *allocators)
{
	ML_FREE_CLEANUP struct ml_process_maps *maps = ml_alloc(sizeof(*maps));
	uint32_t key = (uint32_t)process->pid;

	maps->version = ml_unwind_tables_version(attach->unwind);
	ml_python_find(&process->code, process->process, &process->python);
	maps->python = process->python.layout;
	ml_java_find(&process->code, process->process, &process->java.vm);
	maps->java = process->java.vm.layout;
	process->beyond_limit = 0;
	for (size_t i = 0; i < process->code.mapped_count; i++) {
		const struct ml_code *code = &process->code.list.items[i];

		if (!code->module)
			continue;
		if (maps->count == ML_PROCESS_MAPS) {
			process->beyond_limit++;
			continue;
		}

		struct ml_process_map *map = &maps->map[maps->count++];

		map->start = code->start;
		map->end = code->end;
		ml_unwind_tables_describe(attach->unwind, code->module, code->bias, map);
		if (ml_allocators_own(allocators, code->module))
			map->flags |= ML_PROCESS_MAP_ALLOCATOR;
	}
	if (bpf_map_update_elem(attach->processes_fd, &key, maps, BPF_ANY))
		return ml_error_errno(errno, "cannot tell the kernel the mappings of process %d",
				      process->pid);
	return NULL;
}

/* ---- probes -----------------------------------------------------------------------------------
 */

/* The functions of one module that are to be probed now, cut by what their probes do. */
struct probe_list {
	ML_ARRAY(uint64_t) offsets;
	ML_ARRAY(uint64_t) cookies;
	ML_ARRAY(const char *) names;
};

static void probe_list_free(struct probe_list *list)
{
	ml_array_free(&list->offsets);
	ml_array_free(&list->cookies);
	ml_array_free(&list->names);
}

static struct ml_probe_set part_of(const struct probe_list *list, const struct ml_module *module,
				   pid_t pid, size_t first, size_t count)
{
	return (struct ml_probe_set){
		.file_fd = ml_module_fd(module),
		.file_name = ml_module_path(module),
		.pid = pid,
		.offsets = list->offsets.items + first,
		.cookies = list->cookies.items + first,
		.count = count,
	};
}

/* Attaches the programs for allocating functions, or for freeing ones, to @set. */
static struct ml_error *attach_set(struct ml_links *links, const struct ml_bpf_attach *attach,
				   bool is_free, const struct ml_probe_set *set)
{
	enum ml_link_kind simple = attach->kind == ML_LINK_SESSION ? ML_LINK_MULTI : attach->kind;
	struct ml_error *error;

	if (is_free)
		return ml_links_attach(links, simple, attach->free_fd, false, set);
	if (attach->kind == ML_LINK_SESSION)
		return ml_links_attach(links, ML_LINK_SESSION, attach->call_fd, false, set);
	/* Return first: an entry seen without its return would look like a call that never ends. */
	error = ml_links_attach(links, simple, attach->return_fd, true, set);
	return error ? error : ml_links_attach(links, simple, attach->entry_fd, false, set);
}

/* All at once; when that is refused one by one, so that one bad function does not cost the others.
 * An error only when none could be probed. */
static struct ml_error *attach_list(struct ml_bpf_process *process,
				    const struct ml_bpf_attach *attach,
				    const struct ml_module *module, bool is_free,
				    const struct probe_list *list)
{
	size_t count = list->offsets.count, done = 0;
	struct ml_probe_set all = part_of(list, module, process->pid, 0, count);
	struct ml_error *error = count ? attach_set(&process->links, attach, is_free, &all) : NULL;

	if (!error || count < 2)
		return error;
	for (size_t i = 0; i < count; i++) {
		struct ml_probe_set one = part_of(list, module, process->pid, i, 1);
		struct ml_error *refused = attach_set(&process->links, attach, is_free, &one);

		if (!refused) {
			done++;
			continue;
		}
		refused = ml_error_wrap(refused, "%s is not traced", list->names.items[i]);
		ml_tracer_note(attach->options, ml_error_message(refused));
		ml_error_free(refused);
		process->not_probed++;
	}
	if (!done)
		return error;
	ml_error_free(error);
	return NULL;
}

static bool is_probed(const struct ml_bpf_process *process, const struct ml_module *module,
		      uint64_t address)
{
	ml_array_each (probed, &process->probed)
		if (probed->module == module && probed->address == address)
			return true;
	return false;
}

static void list_function(struct ml_bpf_process *process, const struct ml_bpf_attach *attach,
			  const struct ml_module *module,
			  const struct ml_allocator_function *function, struct probe_list *list)
{
	uint64_t offset;

	if (!ml_module_offset_of_address(module, function->probe, &offset)) {
		process->not_probed++;
		return;
	}
	*ml_array_push(&list->offsets) = offset;
	*ml_array_push(&list->names) = function->name;
	*ml_array_push(&list->cookies) = ML_COOKIE(
		function->probe_role, ml_function_names_id(attach->functions, function->name),
		(uint32_t)process->pid);
	*ml_array_push(&process->probed) =
		(struct ml_probed){.module = module, .address = function->address};
}

/* Frees first: a block seen allocated but not seen freed would look like a leak. */
static struct ml_error *probe_module(struct ml_bpf_process *process,
				     const struct ml_bpf_attach *attach,
				     const struct ml_allocator *allocator)
{
	struct probe_list calls = {0}, frees = {0};
	struct ml_error *error;

	ml_array_each (function, &allocator->functions) {
		if (is_probed(process, allocator->module, function->address) ||
		    (process->lacks_unwinder && ml_allocator_throws(function->name)))
			continue;
		list_function(process, attach, allocator->module, function,
			      function->role == ML_ROLE_FREE ? &frees : &calls);
	}
	error = attach_list(process, attach, allocator->module, true, &frees);
	if (!error)
		error = attach_list(process, attach, allocator->module, false, &calls);
	probe_list_free(&calls);
	probe_list_free(&frees);
	return error;
}

/* The dynamic loader waits in its function until the tool has looked. A convenience, so that a
 * refusal is no error. */
static void probe_loader(struct ml_bpf_process *process, const struct ml_bpf_attach *attach)
{
	const uint64_t cookie = ML_COOKIE(ML_ROLE_LOADED, 0, (uint32_t)process->pid);
	struct ml_dynamic_loader loader;
	uint64_t offset;
	struct ml_probe_set set = {
		.pid = process->pid, .offsets = &offset, .cookies = &cookie, .count = 1};

	if (attach->load_fd < 0 || process->loader ||
	    !ml_dynamic_loader_find(&process->code, &loader) ||
	    !ml_module_offset_of_address(loader.code->module, loader.debug_state.address, &offset))
		return;
	set.file_fd = ml_module_fd(loader.code->module);
	set.file_name = ml_module_path(loader.code->module);
	ml_error_free(
		ml_links_attach(&process->links, ML_LINK_MULTI, attach->load_fd, false, &set));
	process->loader = loader.code->module;
}

/* ---- looking ----------------------------------------------------------------------------------
 */

static struct ml_error *look_at(struct ml_bpf_process *process, const struct ml_bpf_attach *attach,
				const struct ml_maps *maps)
{
	struct ml_allocators allocators = {0};
	struct ml_error *error;

	ml_code_map_update(&process->code, attach->modules, process->process, maps);
	error = ml_code_map_allocators(&process->code, &attach->options->allocators, &allocators);
	if (error)
		return error;
	error = tell_kernel(process, attach, &allocators);
	if (!error)
		ml_bpf_unwinders_probe(process, attach, &allocators);
	ml_array_each (allocator, &allocators.list)
		if (!error)
			error = probe_module(process, attach, allocator);
	ml_allocators_deinit(&allocators);
	if (!error)
		probe_loader(process, attach);
	return error;
}

struct ml_error *ml_bpf_process_look(struct ml_bpf_process *process,
				     const struct ml_bpf_attach *attach,
				     void (*before_removal)(void *context), void *context)
{
	struct ml_maps maps = {0};
	struct ml_error *error = ml_process_maps(process->process, &maps);

	if (error)
		return error;

	struct ml_code_change change = ml_code_map_compare(&process->code, &maps);

	if (change.removed && before_removal)
		before_removal(context);
	if (change.added || change.removed)
		error = look_at(process, attach, &maps);
	ml_maps_deinit(&maps);
	return error;
}

bool ml_bpf_process_has_probes(const struct ml_bpf_process *process)
{
	ml_array_each (probed, &process->probed)
		for (size_t i = 0; i < process->code.mapped_count; i++)
			if (process->code.list.items[i].module == probed->module)
				return true;
	return false;
}

struct ml_error *ml_bpf_process_no_allocator(const struct ml_bpf_process *process,
					     const struct ml_bpf_attach *attach)
{
	struct ml_allocators allocators = {0};
	struct ml_error *error =
		ml_code_map_allocators(&process->code, &attach->options->allocators, &allocators);

	if (!error)
		error = ml_allocators_none(&allocators, &process->code, process->pid);
	ml_allocators_deinit(&allocators);
	return error;
}

bool ml_bpf_process_is_same_image(const struct ml_bpf_process *process)
{
	struct ml_maps maps = {0};
	ML_ERROR_CLEANUP struct ml_error *error = ml_process_maps(process->process, &maps);

	if (error)
		return false;

	struct ml_code_change change = ml_code_map_compare(&process->code, &maps);

	ml_maps_deinit(&maps);
	return !change.removed;
}

void ml_bpf_process_inherit(struct ml_bpf_process *process, struct ml_bpf_process *old)
{
	process->links = old->links;
	memcpy(&process->probed, &old->probed, sizeof(process->probed));
	memcpy(&process->unwinders, &old->unwinders, sizeof(process->unwinders));
	process->loader = old->loader;
	old->links = (struct ml_links){0};
	memset(&old->probed, 0, sizeof(old->probed));
	memset(&old->unwinders, 0, sizeof(old->unwinders));
	old->loader = NULL;
}

void ml_bpf_process_detach(struct ml_bpf_process *process, const struct ml_bpf_attach *attach,
			   bool later)
{
	uint32_t key = (uint32_t)process->pid;

	if (later)
		ml_link_keeper_give(attach->keeper, &process->links);
	else
		ml_links_close(&process->links);
	ml_array_free(&process->probed);
	ml_array_free(&process->unwinders);
	bpf_map_delete_elem(attach->processes_fd, &key);
	process->is_attached = false;
}

void ml_bpf_process_deinit(struct ml_bpf_process *process)
{
	ml_links_close(&process->links);
	ml_array_free(&process->probed);
	ml_array_free(&process->unwinders);
	ml_code_map_deinit(&process->code);
	ml_python_names_destroy(process->python_names);
	ml_java_process_deinit(&process->java);
}

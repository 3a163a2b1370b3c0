/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/bpf_unwinders.h"

#include "base/prefix.h"
#include "elf/imports.h"

/* What throws an exception: of libgcc, of libunwind, or linked into a program. */
static const char *const entries[] = {"_Unwind_RaiseException", "_Unwind_Resume_or_Rethrow",
				      "_Unwind_ForcedUnwind"};

#define ENTRIES (sizeof(entries) / sizeof(*entries))

/* What a user has named may throw as well. */
static bool may_throw(const struct ml_bpf_attach *attach, const struct ml_allocators *allocators)
{
	const char *const *named = attach->options->allocators.alloc_fns;

	if (named && *named)
		return true;
	ml_array_each (allocator, &allocators->list)
		ml_array_each (function, &allocator->functions)
			if (ml_allocator_throws(function->name))
				return true;
	return false;
}

static bool is_probed(const struct ml_bpf_process *process, const struct ml_module *module)
{
	ml_array_each (known, &process->unwinders)
		if (*known == module)
			return true;
	return false;
}

/* How many of the entries @module has. */
static size_t find_entries(struct ml_module *module, uint64_t offsets[ENTRIES])
{
	struct ml_symbol symbol;
	size_t count = 0;

	for (size_t i = 0; i < ENTRIES; i++)
		if (ml_module_function_named(module, entries[i], &symbol) &&
		    ml_module_offset_of_address(module, symbol.address, &offsets[count]))
			count++;
	return count;
}

static void probe(struct ml_bpf_process *process, const struct ml_bpf_attach *attach,
		  const struct ml_module *module, const uint64_t *offsets, size_t count)
{
	const uint64_t cookie = ML_COOKIE(ML_ROLE_NONE, 0, (uint32_t)process->pid);
	const uint64_t cookies[ENTRIES] = {cookie, cookie, cookie};
	const struct ml_probe_set set = {.file_fd = ml_module_fd(module),
					 .file_name = ml_module_path(module),
					 .pid = process->pid,
					 .offsets = offsets,
					 .cookies = cookies,
					 .count = count};
	struct ml_error *error = ml_links_attach(
		&process->links, ML_LINK_MULTI, ml_bpf_throws_program(attach->throws), false, &set);

	if (error)
		ml_tracer_note(attach->options, ml_error_message(error));
	ml_error_free(error);
}

static void note_use(void *context, const struct ml_import *import)
{
	*(bool *)context |= ml_has_prefix(import->name, "_Unwind_");
}

/* One is linked with what is loaded: it has not been mapped yet. */
static bool will_be_loaded(const struct ml_bpf_process *process)
{
	bool is_used = false;

	for (size_t i = 0; i < process->code.mapped_count && !is_used; i++)
		if (process->code.list.items[i].module)
			ml_module_each_import(process->code.list.items[i].module, note_use,
					      &is_used);
	return is_used;
}

void ml_bpf_unwinders_probe(struct ml_bpf_process *process, const struct ml_bpf_attach *attach,
			    const struct ml_allocators *allocators)
{
	bool has_one = false;

	process->lacks_unwinder = false;
	if (!may_throw(attach, allocators) || ml_bpf_throws_program(attach->throws) < 0)
		return;
	for (size_t i = 0; i < process->code.mapped_count; i++) {
		struct ml_module *module = process->code.list.items[i].module;
		uint64_t offsets[ENTRIES];
		size_t count = module ? find_entries(module, offsets) : 0;

		has_one |= count > 0;
		if (!count || is_probed(process, module))
			continue;
		*ml_array_push(&process->unwinders) = module;
		probe(process, attach, module, offsets, count);
	}
	process->lacks_unwinder = !has_one && will_be_loaded(process);
}

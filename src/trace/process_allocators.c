/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/process_allocators.h"

#include "base/file.h"
#include "base/prefix.h"
#include "target/emulator.h"

#include <errno.h>

/* The C library's files: what they map is theirs, not the program's. */
bool ml_module_is_c_library(const struct ml_module *module)
{
	static const char *const prefixes[] = {"libc.so", "libc-2.", "ld-linux",
					       "ld-2.",   "ld-musl", "libpthread"};

	return ml_has_prefix_of(ml_module_name(module), prefixes,
				sizeof(prefixes) / sizeof(*prefixes));
}

/* A static program is allocator, C library and user in one: its mmaps are told apart by their
 * callers' names instead. */
bool ml_allocators_own(const struct ml_allocators *allocators, const struct ml_module *module)
{
	if (ml_module_is_static(module))
		return false;
	ml_array_each (allocator, &allocators->list)
		if (allocator->module == module)
			return true;
	return ml_module_is_c_library(module);
}

/* The modules in an order near to the link order: the program, then from high addresses (mapped
 * first by the dynamic linker) to low ones. */
static struct ml_allocator_candidate *candidates_of(const struct ml_code_map *code, size_t *count)
{
	struct ml_allocator_candidate *list = ml_alloc(sizeof(*list) * (code->mapped_count + 1));
	size_t n = 0;

	for (int wanted = 1; wanted >= 0; wanted--)
		for (size_t i = code->mapped_count; i-- > 0;) {
			struct ml_module *module = code->list.items[i].module;

			if (!module || ml_module_is_executable(module) != (bool)wanted ||
			    (n && list[n - 1].module == module))
				continue;
			list[n] = (struct ml_allocator_candidate){.module = module,
								  .is_main = wanted && !n};
			n++;
		}
	*count = n;
	return list;
}

/* A process in which code is translated must be left alone. */
static struct ml_error *refuse_translated(const struct ml_code_map *code)
{
	ml_array_each (it, &code->list)
		if (it->module &&
		    ml_emulation_of(ml_module_name(it->module)) == ML_EMULATION_TRANSLATED)
			return ml_error_new(ML_ERROR_TARGET,
					    "%s translates the program's code, so breakpoints and "
					    "patches in it would end the program: run it without",
					    ml_module_name(it->module));
	return NULL;
}

struct ml_error *ml_code_map_allocators(const struct ml_code_map *code,
					const struct ml_allocator_options *options,
					struct ml_allocators *out)
{
	struct ml_error *error = refuse_translated(code);
	size_t count;

	if (error)
		return error;

	ML_FREE_CLEANUP struct ml_allocator_candidate *candidates = candidates_of(code, &count);

	return ml_allocators_find(candidates, count, options, out);
}

static void note_function(const struct ml_symbol *symbol, void *context)
{
	(void)symbol;
	*(bool *)context = true;
}

/* What the user can do about a program without allocation functions. */
static const char *remedy_of(const struct ml_code_map *map)
{
	ml_array_each (code, &map->list) {
		struct ml_section section;
		bool has_functions = false;

		if (!code->module || !ml_module_is_executable(code->module))
			continue;
		if (ml_module_section(code->module, ".note.go.buildid", &section))
			return "It is a Go program without C code: Go's heap is collected by its "
			       "own runtime, see it with net/http/pprof";
		ml_module_scan_functions(code->module, note_function, &has_functions);
		if (!has_functions && ml_module_is_static(code->module))
			return "It is a static program without symbols, so its malloc has no name: "
			       "run one that is not stripped";
	}
	return "Name them with -O FILE, -S PREFIX or --alloc-fn/--free-fn";
}

struct ml_error *ml_allocators_none(const struct ml_allocators *allocators,
				    const struct ml_code_map *code, pid_t pid)
{
	return ml_error_coded(
		ML_ERROR_UNSUPPORTED, ENOENT,
		"no allocation functions (malloc, free, …) found in process %d; looked at %s. %s",
		pid,
		allocators->looked_at && *allocators->looked_at ? allocators->looked_at
								: "no file at all",
		remedy_of(code));
}

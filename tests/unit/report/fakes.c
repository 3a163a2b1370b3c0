/* SPDX-License-Identifier: BSD-2-Clause */
#include "fakes.h"

#include "allocators/allocator.h"
#include "elf/frame_index.h"
#include "symbols/demangle.h"
#include "symbols/symbolizer.h"

#include <string.h>

unsigned int fake_symbol_lookups, fake_line_lookups;

const char *ml_module_name(const struct ml_module *module)
{
	return module->name;
}

const char *ml_module_path(const struct ml_module *module)
{
	return module->name;
}

const char *ml_module_build_id_hex(const struct ml_module *module)
{
	return module->build_id;
}

static const char *function_at(const struct ml_module *module, uint64_t address)
{
	return address < 0x1000 ? module->functions[address / 0x100] : NULL;
}

bool ml_module_symbol_at(struct ml_module *module, uint64_t address, struct ml_symbol *out)
{
	const char *name = function_at(module, address);

	fake_symbol_lookups++;
	if (!name)
		return false;
	*out = (struct ml_symbol){.address = address & ~0xffULL, .size = 0x100, .name = name};
	return true;
}

/** Every function is 0x100 bytes long, named or not. */
bool ml_frame_index_function(struct ml_module *module, uint64_t address, uint64_t *start)
{
	*start = address & ~0xffULL;
	return true;
}

/** A name with '<' in front of it has "inlined_one" inlined into it. */
void ml_symbolizer_lookup(struct ml_symbolizer *symbolizer, struct ml_module *module,
			  uint64_t address, bool is_call, struct ml_symbol_frames *out)
{
	const char *name = function_at(module, address - is_call);

	fake_line_lookups++;
	out->list.count = 0;
	if (name && name[0] == '<') {
		*ml_array_push(&out->list) = (struct ml_symbol_frame){
			.symbol = "malloc", .mangled = "malloc", .is_inlined = true};
		*ml_array_push(&out->list) = (struct ml_symbol_frame){.symbol = "inlined_one",
								      .mangled = "inlined_one",
								      .file = "/src/app.h",
								      .line = 23,
								      .is_inlined = true};
		name++;
	}
	*ml_array_push(&out->list) = (struct ml_symbol_frame){
		.symbol = name,
		.mangled = name,
		.offset = name ? address & 0xff : 0,
		.file = name ? "/src/app.c" : NULL,
		.line = name ? (int)(address / 0x100) : 0,
	};
}

void ml_symbolizer_kernel(struct ml_symbolizer *symbolizer, uint64_t ip,
			  struct ml_symbol_frames *out)
{
	out->list.count = 0;
	*ml_array_push(&out->list) =
		(struct ml_symbol_frame){.symbol = "alloc_thing", .offset = ip & 0xff};
}

const char *ml_symbolizer_kernel_module(struct ml_symbolizer *symbolizer, uint64_t ip)
{
	return "kernel";
}

void ml_symbolizer_jit(struct ml_symbolizer *symbolizer, pid_t pid, pid_t inner_pid, uint64_t ip,
		       struct ml_symbol_frames *out)
{
	out->list.count = 0;
	if (inner_pid == 1)
		*ml_array_push(&out->list) =
			(struct ml_symbol_frame){.symbol = "jitted", .mangled = "jitted"};
}

char *ml_demangle_shorten(const char *name, unsigned int limit)
{
	char *copy = ml_strdup(name);

	if (strlen(copy) > limit)
		copy[limit] = '\0';
	return copy;
}

bool ml_allocator_is_wrapper(const char *name)
{
	return !strcmp(name, "_PyObject_New");
}

bool ml_allocator_is_internal(const char *name)
{
	return !strcmp(name, "malloc") || !strcmp(name, "_Znwm");
}

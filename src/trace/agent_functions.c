/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/agent_functions.h"

#include "base/file.h"
#include "trace/dynamic_loader.h"

#include <string.h>

/* What is read of a function: to find jumps back to its start. */
#define FUNCTION_BYTES         8192u
#define FUNCTION_BYTES_UNKNOWN 32u
/* What compilers align functions to; behind a short one there is padding up to there. */
#define FUNCTION_ALIGNMENT 16u

bool ml_agent_function_is_by_imports(const struct ml_agent_attached *attached, uint64_t address)
{
	ml_array_each (function, &attached->by_imports)
		if (*function == address)
			return true;
	return false;
}

bool ml_agent_function_is_done(const struct ml_agent_attached *attached, uint64_t address)
{
	if (attached->injection.memory && ml_injection_has(&attached->injection, address))
		return true;
	ml_array_each (refused, &attached->refused)
		if (*refused == address)
			return true;
	return false;
}

void ml_agent_function_refuse(struct ml_agent_attached *attached, uint64_t address)
{
	*ml_array_push(&attached->refused) = address;
}

/* What is to be called in the stead of a function that throws. */
static void set_substitute(struct ml_injection_function *function, struct ml_module *module,
			   uint64_t bias)
{
	struct ml_stand_in stand_in;

	function->throws = ml_allocator_throws(function->name);
	if (!ml_allocator_stand_in(module, function->name, &stand_in))
		return;
	function->substitute = stand_in.address + bias;
	function->is_swapped = stand_in.is_swapped;
}

/* A function in C++ that the user has named: only its author knows. */
static bool may_throw(const struct ml_agent_attached *attached,
		      const struct ml_allocator_function *function)
{
	const char *const *named = attached->common->options->allocators.alloc_fns;
	size_t length = strlen(function->name);

	if (function->role == ML_ROLE_FREE || strncmp(function->name, "_Z", 2))
		return false;
	for (size_t i = 0; named && named[i]; i++)
		if (!strncmp(named[i], function->name, length) &&
		    (!named[i][length] || named[i][length] == ':'))
			return !ml_allocator_throws(function->name);
	return false;
}

/* How much of the function at @address is looked at. */
static uint64_t size_of(struct ml_module *module, uint64_t address)
{
	struct ml_symbol symbol = {0};

	if (!ml_module_symbol_at(module, address, &symbol) || !symbol.size)
		return FUNCTION_BYTES_UNKNOWN;
	if (symbol.size < FUNCTION_ALIGNMENT)
		return ((address + symbol.size - 1) | (FUNCTION_ALIGNMENT - 1)) + 1 - address;
	return symbol.size < FUNCTION_BYTES ? symbol.size : FUNCTION_BYTES;
}

static void list_function(struct ml_agent_attached *attached, const struct ml_code *code,
			  const struct ml_allocator_function *function,
			  struct ml_agent_functions *functions)
{
	struct ml_module *module = code->module;
	uint64_t size = size_of(module, function->address);
	struct ml_injection_function *listed;
	uint8_t *bytes;

	if (ml_agent_function_is_done(attached, function->address + code->bias))
		return;
	bytes = ml_alloc(size);
	if (!ml_module_read(module, function->address, bytes, size)) {
		free(bytes);
		ml_agent_function_refuse(attached, function->address + code->bias);
		return;
	}
	listed = ml_array_push(&functions->list);
	*listed = (struct ml_injection_function){
		.name = function->name,
		.address = function->address + code->bias,
		.bytes = bytes,
		.size = size,
		.role = function->role,
		.probe = attached->is_probed ? function->probe + code->bias : 0,
		.number = ml_function_names_id(&attached->common->functions, function->name),
		.module = module,
		.may_throw = may_throw(attached, function),
		.is_by_imports =
			ml_agent_function_is_by_imports(attached, function->address + code->bias),
	};
	set_substitute(listed, module, code->bias);
}

static void list_functions_in(struct ml_agent_attached *attached,
			      const struct ml_allocator *allocator, const struct ml_code *code,
			      struct ml_agent_functions *functions)
{
	ml_array_each (function, &allocator->functions) {
		uint64_t at = function->address + code->bias;

		if (at >= code->start && at < code->end)
			list_function(attached, code, function, functions);
	}
}

/* A module may be mapped more than once, such as the C library by dlmopen(). */
void ml_agent_functions_add(struct ml_agent_attached *attached,
			    const struct ml_allocator *allocator,
			    struct ml_agent_functions *functions)
{
	for (size_t i = 0; i < attached->code.mapped_count; i++)
		if (attached->code.list.items[i].module == allocator->module)
			list_functions_in(attached, allocator, &attached->code.list.items[i],
					  functions);
}

void ml_agent_functions_add_loader(struct ml_agent_attached *attached,
				   struct ml_agent_functions *functions)
{
	struct ml_allocator_function function = {.name = ML_DEBUG_STATE, .role = ML_ROLE_LOADED};
	struct ml_dynamic_loader loader;

	if (!ml_dynamic_loader_find(&attached->code, &loader))
		return;
	function.address = function.probe = loader.debug_state.address;
	list_function(attached, loader.code, &function, functions);
}

void ml_agent_functions_free(struct ml_agent_functions *functions)
{
	ml_array_each (function, &functions->list)
		free((void *)function->bytes);
	ml_array_free(&functions->list);
}

static bool is_loaded(const struct ml_code_map *map, uint64_t address)
{
	const struct ml_code *code = ml_code_map_find(map, address);

	return code && code->is_mapped && code->module;
}

void ml_agent_functions_prune(struct ml_agent_attached *attached)
{
	size_t kept = 0;

	ml_array_each (function, &attached->by_imports)
		if (is_loaded(&attached->code, *function))
			attached->by_imports.items[kept++] = *function;
	attached->by_imports.count = kept;
}

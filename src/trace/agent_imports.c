/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/agent_imports.h"

#include "elf/imports.h"
#include "trace/process_allocators.h"

#include <elf.h>
#include <link.h>

/* A hostile list of modules may have no end. */
#define MODULES_LIMIT 4096u
#define WORDS_LIMIT   4096u

/* One look for the words of a function through one module. */
struct search {
	const struct ml_agent_imports *imports;
	const struct ml_injection_function *function;
	struct ml_module *module; /* the function's */
	uint64_t address;         /* of the function, in its module */
	const struct ml_code *code;
	ml_injection_words *out;
	bool *is_complete;
};

static bool read_word(const struct search *search, uint64_t address, uint64_t *word)
{
	return ml_process_read(search->imports->process, address, word, sizeof(*word));
}

/* ---- to what the loader would bind a name ----------------------------------------------------
 */

static bool defines(struct ml_module *module, const char *name)
{
	struct ml_symbol symbol;

	return ml_module_function_named(module, name, &symbol) && symbol.is_dynamic;
}

/* The loader's list of modules, as it tells debuggers of it (DT_DEBUG of the program). */
static uint64_t find_link_map(const struct search *search)
{
	const struct ml_code_map *map = search->imports->code;
	struct ml_section section;

	for (size_t i = 0; i < map->mapped_count; i++) {
		const struct ml_code *code = &map->list.items[i];
		Elf64_Dyn entry;
		uint64_t list = 0;

		if (!code->module || !ml_module_is_executable(code->module) ||
		    !ml_module_section(code->module, ".dynamic", &section))
			continue;
		for (size_t at = 0; at + sizeof(entry) <= section.size; at += sizeof(entry))
			if (ml_process_read(search->imports->process,
					    code->bias + section.address + at, &entry,
					    sizeof(entry)) &&
			    entry.d_tag == DT_DEBUG &&
			    read_word(search, entry.d_un.d_ptr + offsetof(struct r_debug, r_map),
				      &list))
				return list;
	}
	return 0;
}

/* Whether the module at @bias comes before the one at @other in the order the loader looks for
 * names in. */
static bool is_before(const struct search *search, uint64_t bias, uint64_t other)
{
	uint64_t at = find_link_map(search), here;

	for (unsigned int i = 0; at && i < MODULES_LIMIT; i++) {
		if (!read_word(search, at + offsetof(struct link_map, l_addr), &here))
			return false;
		if (here == bias || here == other)
			return here == bias;
		if (!read_word(search, at + offsetof(struct link_map, l_next), &at))
			return false;
	}
	return false;
}

/*
 * True when @name of the module searched through is bound to the function for certain: no other
 * module has the name, or only such as the loader would ask later. It asks those the program was
 * started with first, in the order of its list; the C library is one of them.
 */
static bool will_be_bound(const struct search *search, const char *name)
{
	const struct ml_code_map *map = search->imports->code;
	const struct ml_code *own = ml_code_map_find(map, search->function->address);
	bool has_other = false, has_c_library = false;

	if (search->code->module != search->module && defines(search->code->module, name))
		return false;
	for (size_t i = 0; i < map->mapped_count; i++) {
		const struct ml_code *code = &map->list.items[i];

		if (!code->module || code->module == search->module || !defines(code->module, name))
			continue;
		if (!is_before(search, own->bias, code->bias))
			return false;
		has_other = true;
		has_c_library |= ml_module_is_c_library(code->module);
	}
	return !has_other || has_c_library;
}

/* ---- words -----------------------------------------------------------------------------------
 */

static bool is_function(const struct search *search, const char *name)
{
	struct ml_symbol symbol;

	return ml_module_function_named(search->module, name, &symbol) &&
	       symbol.address == search->address;
}

/* Until it is bound the word leads into the linkage table beside it. */
static bool is_unbound(const struct search *search, uint64_t value)
{
	const struct ml_code *code = ml_code_map_find(search->imports->code, value);

	return code && code->module == search->code->module && code->bias == search->code->bias;
}

/* What a word that names the function is. */
enum use {
	USE_CALL,      /**< it leads or will lead to the function, and is for calls only */
	USE_OTHER,     /**< it leads to another function of the name */
	USE_UNCERTAIN, /**< it is left, and may lead to the function */
};

static enum use use_of(const struct search *search, const struct ml_import *import, uint64_t value)
{
	if (value == search->function->address)
		return import->is_jump ||
				       ml_module_only_calls_by(search->code->module, import->slot)
			       ? USE_CALL
			       : USE_UNCERTAIN;
	if (!import->is_jump || !is_unbound(search, value))
		return USE_OTHER;
	return will_be_bound(search, import->name) ? USE_CALL : USE_UNCERTAIN;
}

static void look_at(void *context, const struct ml_import *import)
{
	const struct search *search = context;
	struct ml_injection_word word = {.address = import->slot + search->code->bias};
	enum use use = USE_UNCERTAIN;

	if (!is_function(search, import->name))
		return;
	if (search->out->count < WORDS_LIMIT && word.address % sizeof(word.value) == 0 &&
	    read_word(search, word.address, &word.value))
		use = use_of(search, import, word.value);
	if (use == USE_CALL)
		*ml_array_push(search->out) = word;
	else if (use == USE_UNCERTAIN)
		*search->is_complete = false;
}

/* Whether other modules reach the function by its name only, and calls of its own are few: not in a
 * program, whose allocator's first user is the program. */
static bool is_reached_by_name(struct ml_module *module,
			       const struct ml_injection_function *function)
{
	return !ml_module_is_executable(module) && defines(module, function->name);
}

/* A module may have several mappings with code. */
static bool is_first(const struct ml_code_map *map, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (map->list.items[k].module == map->list.items[i].module &&
		    map->list.items[k].bias == map->list.items[i].bias)
			return false;
	return true;
}

bool ml_agent_imports_find(void *context, const struct ml_injection_function *function,
			   ml_injection_words *out)
{
	const struct ml_agent_imports *imports = context;
	const struct ml_code_map *map = imports->code;
	const struct ml_code *own = ml_code_map_find(map, function->address);
	bool is_complete;

	if (!own || !own->module)
		return false;
	is_complete = is_reached_by_name(own->module, function);
	for (size_t i = 0; i < map->mapped_count; i++) {
		struct search search = {.imports = imports,
					.function = function,
					.module = own->module,
					.address = function->address - own->bias,
					.code = &map->list.items[i],
					.out = out,
					.is_complete = &is_complete};

		if (search.code->module && is_first(map, i))
			ml_module_each_import(search.code->module, look_at, &search);
	}
	return is_complete;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "allocators/allocator.h"

#include "allocators/probe_site.h"
#include "allocators/survey.h"
#include "allocators/thunk.h"
#include "base/file.h"
#include "base/strbuf.h"

/* A function's bytes looked at: jemalloc's largest has 10 KiB. */
#define CODE_LIMIT 32768u
/* For a symbol without a size, and where the file ends early. */
#define CODE_GUESS 256u
#define CODE_LEAST 16u

/* Modules named in an error message. */
#define NAMES_LIMIT 12

/* Reads the code of @p symbol into @p bytes (CODE_LIMIT); false when the file does not have it. */
static bool read_code(struct ml_module *module, const struct ml_symbol *symbol, uint8_t *bytes,
		      struct ml_code *out)
{
	size_t sizes[] = {CODE_GUESS, CODE_GUESS, CODE_LEAST, 1};

	if (symbol->size)
		sizes[0] = symbol->size < CODE_LIMIT ? symbol->size : CODE_LIMIT;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		if (sizes[i] > sizes[0] ||
		    !ml_module_read(module, symbol->address, bytes, sizes[i]))
			continue;
		out->bytes = bytes;
		out->size = sizes[i];
		out->is_whole = symbol->size == sizes[i];
		return true;
	}
	return false;
}

static bool is_same_class(enum ml_role a, enum ml_role b)
{
	bool a_frees = a == ML_ROLE_FREE || a == ML_ROLE_MUNMAP;
	bool b_frees = b == ML_ROLE_FREE || b == ML_ROLE_MUNMAP;

	return a_frees == b_frees;
}

/* True when @p function only jumps to another one that is probed: probing both would pay twice
 * for each call, and count each free twice. */
static bool is_covered(struct ml_module *module, const struct ml_survey *survey,
		       const struct ml_found *function, const struct ml_code *code)
{
	struct ml_thunk thunk;

	if (!ml_thunk_find(module, function->symbol.address, code, function->meaning.role, &thunk))
		return false;
	ml_array_each (other, &survey->found) {
		struct ml_symbol named;

		if (!is_same_class(other->meaning.role, function->meaning.role) ||
		    other->symbol.address == function->symbol.address)
			continue;
		if (thunk.address && other->symbol.address == thunk.address)
			return true;
		/* By name, as `other` may be listed under another name of its address. */
		if (thunk.name && ml_module_function_named(module, thunk.name, &named) &&
		    named.address == other->symbol.address)
			return true;
	}
	return false;
}

static void add_function(const struct ml_found *found, const struct ml_probe_site *site,
			 struct ml_allocator *allocator)
{
	*ml_array_push(&allocator->functions) = (struct ml_allocator_function){
		.name = found->symbol.name,
		.role = found->meaning.role,
		.address = found->symbol.address,
		.probe = found->symbol.address + site->offset,
		.probe_role = site->role,
		.is_emulated = site->is_emulated,
	};
}

static void take_module(struct ml_module *module, const struct ml_survey *survey,
			struct ml_allocators *out)
{
	ML_FREE_CLEANUP uint8_t *bytes = ml_alloc(CODE_LIMIT);
	struct ml_allocator allocator = {.kind = ml_survey_kind(survey)};
	struct ml_probe_site site;
	struct ml_code code;

	ml_array_each (found, &survey->found) {
		if (!read_code(module, &found->symbol, bytes, &code) ||
		    !ml_probe_site_pick(&code, found->meaning.role, &site)) {
			out->unprobeable++;
			continue;
		}
		if (found->meaning.scope == ML_SCOPE_USER ||
		    !is_covered(module, survey, found, &code))
			add_function(found, &site, &allocator);
	}
	if (!allocator.functions.count)
		return;
	allocator.module = ml_module_ref(module);
	*ml_array_push(&out->list) = allocator;
}

static char *list_names(const struct ml_allocator_candidate *candidates, size_t count)
{
	struct ml_strbuf names = {0};

	for (size_t i = 0; i < count && i < NAMES_LIMIT; i++) {
		if (i)
			ml_strbuf_puts(&names, ", ");
		ml_strbuf_escaped(&names, ml_module_name(candidates[i].module));
	}
	if (count > NAMES_LIMIT)
		ml_strbuf_printf(&names, " and %zu more", count - NAMES_LIMIT);
	return ml_strbuf_take(&names);
}

static bool is_considered(const struct ml_allocator_candidate *candidate,
			  const struct ml_allocator_options *options)
{
	return !options || !options->object ||
	       ml_object_is_module(options->object, candidate->module);
}

/* What the user named and no module has is a slip the user wants to know of. */
static struct ml_error *check_found(const struct ml_user_functions *functions, const char *prefix,
				    bool has_prefix, const char *looked_at)
{
	ml_array_each (function, &functions->list) {
		if (!function->is_found && function->is_ifunc)
			return ml_error_new(
				ML_ERROR_USAGE,
				"%s %s: it is an IFUNC: which function it stands for is "
				"chosen at run time; name that one",
				function->option, function->name);
		if (!function->is_found)
			return ml_error_new(ML_ERROR_USAGE,
					    "%s %s: no such function in %s (names of stripped or "
					    "inlined functions are not in the file; C++ names must "
					    "be given mangled)",
					    function->option, function->name, looked_at);
	}
	if (prefix && *prefix && !has_prefix)
		return ml_error_new(ML_ERROR_USAGE,
				    "-S %s: neither %smalloc nor another function of that prefix "
				    "in %s",
				    prefix, prefix, looked_at);
	return NULL;
}

static char *describe_looked_at(const struct ml_allocator_candidate *candidates, size_t count,
				const struct ml_allocator_candidate *considered,
				size_t considered_count, const char *object)
{
	ML_FREE_CLEANUP char *all = NULL;
	struct ml_strbuf text = {0};

	if (considered_count || !count)
		return list_names(considered, considered_count);
	all = list_names(candidates, count);
	ml_strbuf_puts(&text, "no module called ");
	ml_strbuf_escaped(&text, object);
	ml_strbuf_printf(&text, " (of %s)", all);
	return ml_strbuf_take(&text);
}

struct ml_error *ml_allocators_find(const struct ml_allocator_candidate *candidates, size_t count,
				    const struct ml_allocator_options *options,
				    struct ml_allocators *out)
{
	ML_ARRAY(struct ml_allocator_candidate) considered = {0};
	struct ml_user_functions functions = {0};
	struct ml_allocators result = {0};
	bool has_prefix = false;
	struct ml_error *error = ml_user_functions_parse(options, &functions);

	if (error)
		return error;
	for (size_t i = 0; i < count; i++)
		if (is_considered(&candidates[i], options))
			*ml_array_push(&considered) = candidates[i];
	ml_array_each (candidate, &considered) {
		struct ml_survey survey;

		ml_survey_module(candidate, options, &functions, &survey);
		has_prefix |= survey.has_prefix;
		take_module(candidate->module, &survey, &result);
		ml_survey_deinit(&survey);
	}
	result.looked_at = describe_looked_at(candidates, count, considered.items, considered.count,
					      options ? options->object : NULL);
	error = check_found(&functions, options ? options->symbols_prefix : NULL, has_prefix,
			    result.looked_at);
	if (error)
		ml_allocators_deinit(&result);
	else
		*out = result;
	ml_user_functions_deinit(&functions);
	ml_array_free(&considered);
	return error;
}

void ml_allocators_deinit(struct ml_allocators *allocators)
{
	ml_array_each (allocator, &allocators->list) {
		ml_module_unref(allocator->module);
		ml_array_free(&allocator->functions);
	}
	ml_array_free(&allocators->list);
	free(allocators->looked_at);
	allocators->looked_at = NULL;
	allocators->unprobeable = 0;
}

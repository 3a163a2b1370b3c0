/* SPDX-License-Identifier: BSD-2-Clause */
#include "allocators/survey.h"

#include <string.h>

/* Names of interest taken from one module; no allocator comes near. A hostile file could define
 * malloc a million times. */
#define FOUND_LIMIT 4096

struct visit {
	struct ml_survey *survey;
	struct ml_user_functions *functions;
	const char *prefix; /* -S, or NULL */
	bool has_libc_start, has_debug_state, has_malloc, has_free;
};

static void add_found(struct ml_survey *survey, const struct ml_symbol *symbol,
		      struct ml_role_name meaning)
{
	struct ml_found found = {.symbol = *symbol, .meaning = meaning};

	if (survey->found.count >= FOUND_LIMIT)
		return;
	found.symbol.name = ml_module_keep_name(survey->module, symbol->name);
	*ml_array_push(&survey->found) = found;
}

static bool visit_user_name(struct visit *visit, const struct ml_symbol *symbol)
{
	struct ml_role_name meaning = {.scope = ML_SCOPE_USER};
	size_t length;

	ml_array_each (function, &visit->functions->list) {
		if (strcmp(function->name, symbol->name))
			continue;
		if (symbol->is_ifunc) {
			function->is_ifunc = true;
			return true;
		}
		function->is_found = true;
		meaning.role = function->role;
		add_found(visit->survey, symbol, meaning);
		return true;
	}
	if (!visit->prefix || symbol->is_ifunc)
		return false;
	length = strlen(visit->prefix);
	if (strncmp(symbol->name, visit->prefix, length) ||
	    !ml_role_find_standard(symbol->name + length, &meaning))
		return false;
	meaning.scope = ML_SCOPE_USER;
	visit->survey->has_prefix = true;
	add_found(visit->survey, symbol, meaning);
	return true;
}

static void visit_marker(struct visit *visit, const char *name)
{
	if (!strcmp(name, "gnu_get_libc_version"))
		visit->survey->has_glibc = true;
	else if (!strcmp(name, "__libc_start_main"))
		visit->has_libc_start = true;
	else if (!strcmp(name, "_dl_debug_state"))
		visit->has_debug_state = true;
}

/* A dynamic program or a library shares its malloc only by a public name; a private function of
 * that name is something else. In a static program nothing is public. */
static bool is_shared(const struct ml_survey *survey, const struct ml_symbol *symbol)
{
	return symbol->is_dynamic || survey->is_static || survey->is_named;
}

static void note_allocator(struct visit *visit, const struct ml_symbol *symbol,
			   const struct ml_role_name *meaning)
{
	struct ml_survey *survey = visit->survey;
	const char *name = symbol->name;

	switch (meaning->scope) {
	case ML_SCOPE_STANDARD:
		visit->has_malloc |= !strcmp(name, "malloc") && is_shared(survey, symbol);
		visit->has_free |= !strcmp(name, "free") && is_shared(survey, symbol);
		break;
	case ML_SCOPE_JEMALLOC:
		survey->has_jemalloc |= meaning->role == ML_ROLE_MALLOC;
		break;
	case ML_SCOPE_TCMALLOC:
		survey->has_tcmalloc |=
			!strcmp(name, "tc_malloc") || !strcmp(name, "TCMallocInternalMalloc");
		break;
	case ML_SCOPE_MIMALLOC:
		survey->has_mimalloc |= !strcmp(name, "mi_malloc");
		break;
	case ML_SCOPE_TBB:
		survey->has_tbb |= !strcmp(name, "scalable_malloc");
		break;
	default:
		break;
	}
}

static void visit_symbol(const struct ml_symbol *symbol, void *context)
{
	struct visit *visit = context;
	struct ml_role_name meaning;

	if (!symbol->name || !symbol->address || visit_user_name(visit, symbol))
		return;
	/* The address of an IFUNC is its resolver's; what it resolves to is known at run time. */
	if (symbol->is_ifunc || !ml_role_find(symbol->name, &meaning))
		return;
	if (meaning.scope == ML_SCOPE_MARKER) {
		visit_marker(visit, symbol->name);
		return;
	}
	note_allocator(visit, symbol, &meaning);
	add_found(visit->survey, symbol, meaning);
}

/* The same once all names are known: of several functions of one name, a static program calls the
 * public one. */
static bool is_called(const struct ml_survey *survey, const struct ml_symbol *symbol)
{
	struct ml_symbol named;

	if (!is_shared(survey, symbol))
		return false;
	return symbol->is_dynamic ||
	       (ml_module_function_named(survey->module, symbol->name, &named) &&
		named.address == symbol->address);
}

static bool is_known_allocator(const struct ml_survey *survey)
{
	return survey->has_jemalloc || survey->has_tcmalloc || survey->has_mimalloc;
}

/* True when a name means what the table says, in a module like this. */
static bool is_believed(const struct ml_survey *survey, const struct ml_found *found)
{
	switch (found->meaning.scope) {
	case ML_SCOPE_USER:
		return true;
	case ML_SCOPE_STANDARD:
		return (survey->is_provider || survey->is_named) &&
		       is_called(survey, &found->symbol);
	case ML_SCOPE_MAPPING:
		/* tcmalloc has an mmap of its own that takes libc's place and does not call it. */
		return (survey->is_libc || survey->is_provider) &&
		       is_called(survey, &found->symbol);
	case ML_SCOPE_OPERATOR:
		/* libstdc++ and libc++ call malloc, and provide none. A program's own operator
		 * new may be theirs, linked in; unless an allocator is linked in as well. */
		return survey->is_main ? is_known_allocator(survey) : survey->is_provider;
	case ML_SCOPE_JEMALLOC:
		return survey->has_jemalloc;
	case ML_SCOPE_TCMALLOC:
		return survey->has_tcmalloc;
	case ML_SCOPE_MIMALLOC:
		return survey->has_mimalloc;
	case ML_SCOPE_TBB:
		return survey->has_tbb;
	case ML_SCOPE_MARKER:
		break;
	}
	return false;
}

/* What the user said first, then well-known names before an allocator's own and before old ones. */
static int rank(const struct ml_found *found)
{
	if (found->meaning.scope == ML_SCOPE_USER)
		return -1;
	return (int)found->meaning.scope * 2 + found->meaning.is_alias;
}

static int found_compare(const void *left, const void *right)
{
	const struct ml_found *a = left, *b = right;

	if (a->symbol.address != b->symbol.address)
		return a->symbol.address < b->symbol.address ? -1 : 1;
	if (rank(a) != rank(b))
		return rank(a) - rank(b);
	if (a->symbol.is_dynamic != b->symbol.is_dynamic)
		return a->symbol.is_dynamic ? -1 : 1;
	return strcmp(a->symbol.name, b->symbol.name);
}

static void keep_believed(struct ml_survey *survey)
{
	size_t kept = 0;

	if (survey->found.count)
		qsort(survey->found.items, survey->found.count, sizeof(*survey->found.items),
		      found_compare);
	ml_array_each (found, &survey->found) {
		if (survey->is_loader && found->meaning.scope != ML_SCOPE_USER)
			continue;
		if (!is_believed(survey, found))
			continue;
		if (kept && survey->found.items[kept - 1].symbol.address == found->symbol.address)
			continue;
		survey->found.items[kept++] = *found;
	}
	survey->found.count = kept;
}

static void judge(struct visit *visit, struct ml_module *module)
{
	struct ml_survey *survey = visit->survey;

	/* glibc's loader exported malloc for its own start-up until 2.31, and has
	 * __minimal_malloc since. musl's loader is its libc and has __libc_start_main. */
	survey->is_loader = (visit->has_debug_state && !visit->has_libc_start) ||
			    (!strncmp(ml_module_name(module), "ld-linux", 8));
	survey->is_libc = visit->has_libc_start && !survey->is_static && !survey->is_loader;
	/* A static program that never frees has no free() linked in (musl). */
	survey->is_provider =
		visit->has_malloc && (visit->has_free || survey->is_static) && !survey->is_loader;
}

void ml_survey_module(const struct ml_allocator_candidate *candidate,
		      const struct ml_allocator_options *options,
		      struct ml_user_functions *functions, struct ml_survey *out)
{
	struct visit visit = {.survey = out, .functions = functions};

	*out = (struct ml_survey){.module = candidate->module, .is_main = candidate->is_main};
	if (options && options->symbols_prefix && *options->symbols_prefix)
		visit.prefix = options->symbols_prefix;
	out->is_named = options && options->object;
	/* A library asks for no dynamic linker either; only of a program does it say "static". */
	out->is_static = candidate->is_main && ml_module_is_static(candidate->module);
	ml_module_scan_functions(candidate->module, visit_symbol, &visit);
	judge(&visit, candidate->module);
	keep_believed(out);
}

void ml_survey_deinit(struct ml_survey *survey)
{
	ml_array_free(&survey->found);
}

const char *ml_survey_kind(const struct ml_survey *survey)
{
	bool only_user = true;

	ml_array_each (found, &survey->found)
		only_user &= found->meaning.scope == ML_SCOPE_USER;
	if (only_user)
		return "user";
	if (survey->has_jemalloc)
		return "jemalloc";
	if (survey->has_tcmalloc)
		return "tcmalloc";
	if (survey->has_mimalloc)
		return "mimalloc";
	if (survey->has_tbb)
		return "tbbmalloc";
	if (survey->is_static)
		return "static";
	if (survey->is_libc)
		return survey->has_glibc ? "glibc" : "musl";
	return "other";
}

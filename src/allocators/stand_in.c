/* SPDX-License-Identifier: BSD-2-Clause */
/** Which functions throw, and what can be called in their stead. */
#include "allocators/allocator.h"
#include "allocators/thunk.h"

#include <string.h>

/* What a free function that leads on to another takes for it. */
#define THUNK_BYTES 64u

/* Those of an allocator's functions whose blocks its free() takes. */
struct family {
	const char *free, *plain, *aligned;
};

static const struct family families[] = {
	{"free", "malloc", "memalign"},
	{"free", "malloc", "aligned_alloc"}, /* one without memalign() */
	{"je_free", "je_malloc", "je_aligned_alloc"},
	{"_rjem_free", "_rjem_malloc", "_rjem_aligned_alloc"},
	{"tc_free", "tc_malloc", "tc_memalign"},
	{"mi_free", "mi_malloc", "mi_memalign"},
};

/* A function that may throw. */
struct throwing {
	const char *name;
	/* Of C++'s operators and their like: what deletes their blocks, and the one that gives null
	 * instead. */
	const char *deletes, *nothrow;
	bool is_aligned;
	/* Of others: what does the same, with the same arguments, and gives null. */
	const char *same;
};

static const struct throwing functions[] = {
	{"_Znwm", "_ZdlPv", "_ZnwmRKSt9nothrow_t", false, NULL},
	{"_Znam", "_ZdaPv", "_ZnamRKSt9nothrow_t", false, NULL},
	{"_ZnwmSt11align_val_t", "_ZdlPv", "_ZnwmSt11align_val_tRKSt9nothrow_t", true, NULL},
	{"_ZnamSt11align_val_t", "_ZdaPv", "_ZnamSt11align_val_tRKSt9nothrow_t", true, NULL},
	{"tc_new", "tc_delete", "tc_new_nothrow", false, NULL},
	{"tc_newarray", "tc_deletearray", "tc_newarray_nothrow", false, NULL},
	{"tc_new_aligned", "tc_delete", "tc_new_aligned_nothrow", true, NULL},
	{"tc_newarray_aligned", "tc_deletearray", "tc_newarray_aligned_nothrow", true, NULL},
	{"TCMallocInternalNew", NULL, NULL, false, "TCMallocInternalNewNothrow"},
	{"TCMallocInternalNewArray", NULL, NULL, false, "TCMallocInternalNewArrayNothrow"},
	{"TCMallocInternalNewAligned", NULL, NULL, false, "TCMallocInternalNewAlignedNothrow"},
	{"TCMallocInternalNewArrayAligned", NULL, NULL, false,
	 "TCMallocInternalNewArrayAlignedNothrow"},
	{"mi_new", NULL, NULL, false, "mi_malloc"},
	{"mi_new_aligned", NULL, NULL, false, "mi_malloc_aligned"},
	{"mi_new_n", NULL, NULL, false, "mi_mallocn"},
	{"mi_new_realloc", NULL, NULL, false, "mi_realloc"},
	{"mi_new_reallocn", NULL, NULL, false, "mi_reallocn"},
	{"mi_heap_alloc_new", NULL, NULL, false, "mi_heap_malloc"},
};

static const struct throwing *find(const char *name)
{
	for (size_t i = 0; i < sizeof(functions) / sizeof(*functions); i++)
		if (!strcmp(name, functions[i].name))
			return &functions[i];
	return NULL;
}

bool ml_allocator_throws(const char *name)
{
	return find(name);
}

static bool look_up(struct ml_module *module, const char *name, struct ml_symbol *out)
{
	return name && ml_module_function_named(module, name, out) && !out->is_ifunc;
}

static bool address_of(struct ml_module *module, const char *name, uint64_t *address)
{
	struct ml_symbol symbol;

	if (!look_up(module, name, &symbol))
		return false;
	*address = symbol.address;
	return true;
}

/* True when what is allocated for one can be given to the other: they are one function, or the
 * first only leads to the second. */
static bool is_one(struct ml_module *module, const char *from, const char *to)
{
	uint64_t wanted, address;
	uint8_t bytes[THUNK_BYTES];
	struct ml_code code = {.bytes = bytes, .size = sizeof(bytes)};
	struct ml_symbol start;
	struct ml_thunk thunk;

	if (!look_up(module, from, &start) || !address_of(module, to, &wanted))
		return false;
	if (start.address == wanted)
		return true;
	if (start.size && start.size < sizeof(bytes))
		code.size = start.size;
	if (!ml_module_read(module, start.address, bytes, code.size) ||
	    !ml_thunk_find(module, start.address, &code, ML_ROLE_FREE, &thunk))
		return false;
	if (!thunk.name)
		return thunk.address == wanted;
	return address_of(module, thunk.name, &address) && address == wanted;
}

bool ml_allocator_stand_in(struct ml_module *module, const char *name, struct ml_stand_in *out)
{
	const struct throwing *function = find(name);

	*out = (struct ml_stand_in){0};
	if (!function)
		return false;
	if (function->same)
		return address_of(module, function->same, &out->address);
	for (size_t i = 0; i < sizeof(families) / sizeof(*families); i++) {
		const struct family *family = &families[i];

		if (!is_one(module, function->deletes, family->free) ||
		    !address_of(module, function->is_aligned ? family->aligned : family->plain,
				&out->address))
			continue;
		out->is_swapped = function->is_aligned;
		return true;
	}
	return address_of(module, function->nothrow, &out->address);
}

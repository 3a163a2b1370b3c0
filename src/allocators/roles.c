/* SPDX-License-Identifier: BSD-2-Clause */
#include "allocators/roles.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct role_entry {
	const char *name;
	struct ml_role_name meaning;
};

/*
 * Sorted by name (bytes). Only functions that do the work themselves stand here; these do not, as
 * they reach one that does and would be counted twice:
 *   - reallocarray of glibc, musl and the BSDs calls realloc (mimalloc's does not, hence its
 *     scope), reallocarr and mi_reallocarr call mi_reallocarray, mi_cfree calls mi_free,
 *     strdup and its like call malloc, mi_strdup calls mi_heap_malloc;
 *   - operator new of libstdc++ and libc++ calls malloc; Rust's __rust_alloc reaches malloc, or
 *     _rjem_* of the jemalloc crates;
 *   - xallocx of jemalloc resizes in place: the block stays where it is and the books keep the
 *     size it was asked with.
 * mi_heap_* take a heap first: where a size is all that follows, "aligned_alloc" (size in the
 * second argument) describes them. mi_heap_calloc, mi_heap_realloc and their like have no role,
 * because theirs has its arguments one place further right.
 * "pvalloc" and "valloc" round up on their own; the books hold what was asked for.
 */
static const struct role_entry entries[] = {
	/* clang-format off: one name a line */
	{"TCMallocInternalAlignedAlloc", {ML_ROLE_ALIGNED_ALLOC, ML_SCOPE_TCMALLOC, false}},
	{"TCMallocInternalCalloc", {ML_ROLE_CALLOC, ML_SCOPE_TCMALLOC, false}},
	{"TCMallocInternalDelete", {ML_ROLE_FREE, ML_SCOPE_TCMALLOC, false}},
	{"TCMallocInternalDeleteAligned", {ML_ROLE_FREE, ML_SCOPE_TCMALLOC, false}},
	{"TCMallocInternalDeleteArray", {ML_ROLE_FREE, ML_SCOPE_TCMALLOC, false}},
	{"TCMallocInternalDeleteArrayAligned", {ML_ROLE_FREE, ML_SCOPE_TCMALLOC, false}},
	{"TCMallocInternalDeleteArraySized", {ML_ROLE_FREE, ML_SCOPE_TCMALLOC, false}},
	{"TCMallocInternalDeleteSized", {ML_ROLE_FREE, ML_SCOPE_TCMALLOC, false}},
	{"TCMallocInternalFree", {ML_ROLE_FREE, ML_SCOPE_TCMALLOC, false}},
	{"TCMallocInternalFreeAlignedSized", {ML_ROLE_FREE, ML_SCOPE_TCMALLOC, false}},
	{"TCMallocInternalFreeSized", {ML_ROLE_FREE, ML_SCOPE_TCMALLOC, false}},
	{"TCMallocInternalMalloc", {ML_ROLE_MALLOC, ML_SCOPE_TCMALLOC, false}},
	{"TCMallocInternalMemalign", {ML_ROLE_ALIGNED_ALLOC, ML_SCOPE_TCMALLOC, false}},
	{"TCMallocInternalNew", {ML_ROLE_MALLOC, ML_SCOPE_TCMALLOC, false}},
	{"TCMallocInternalNewAligned", {ML_ROLE_MALLOC, ML_SCOPE_TCMALLOC, false}},
	{"TCMallocInternalNewArray", {ML_ROLE_MALLOC, ML_SCOPE_TCMALLOC, false}},
	{"TCMallocInternalNewArrayAligned", {ML_ROLE_MALLOC, ML_SCOPE_TCMALLOC, false}},
	{"TCMallocInternalNewArrayNothrow", {ML_ROLE_MALLOC, ML_SCOPE_TCMALLOC, false}},
	{"TCMallocInternalNewNothrow", {ML_ROLE_MALLOC, ML_SCOPE_TCMALLOC, false}},
	{"TCMallocInternalPosixMemalign", {ML_ROLE_POSIX_MEMALIGN, ML_SCOPE_TCMALLOC, false}},
	{"TCMallocInternalRealloc", {ML_ROLE_REALLOC, ML_SCOPE_TCMALLOC, false}},
	{"TCMallocInternalSdallocx", {ML_ROLE_FREE, ML_SCOPE_TCMALLOC, false}},
	{"__libc_start_main", {ML_ROLE_NONE, ML_SCOPE_MARKER, false}},
	{"_dl_debug_state", {ML_ROLE_NONE, ML_SCOPE_MARKER, false}},
	{"aligned_alloc", {ML_ROLE_ALIGNED_ALLOC, ML_SCOPE_STANDARD, false}},
	{"calloc", {ML_ROLE_CALLOC, ML_SCOPE_STANDARD, false}},
	{"cfree", {ML_ROLE_FREE, ML_SCOPE_STANDARD, true}},
	{"dallocx", {ML_ROLE_FREE, ML_SCOPE_JEMALLOC, false}},
	{"free", {ML_ROLE_FREE, ML_SCOPE_STANDARD, false}},
	{"free_aligned_sized", {ML_ROLE_FREE, ML_SCOPE_STANDARD, false}},
	{"free_sized", {ML_ROLE_FREE, ML_SCOPE_STANDARD, false}},
	{"gnu_get_libc_version", {ML_ROLE_NONE, ML_SCOPE_MARKER, false}},
	{"malloc", {ML_ROLE_MALLOC, ML_SCOPE_STANDARD, false}},
	{"mallocx", {ML_ROLE_MALLOC, ML_SCOPE_JEMALLOC, false}},
	{"memalign", {ML_ROLE_ALIGNED_ALLOC, ML_SCOPE_STANDARD, true}},
	{"mi_aligned_alloc", {ML_ROLE_ALIGNED_ALLOC, ML_SCOPE_MIMALLOC, false}},
	{"mi_aligned_offset_recalloc", {ML_ROLE_REALLOCARRAY, ML_SCOPE_MIMALLOC, false}},
	{"mi_aligned_recalloc", {ML_ROLE_REALLOCARRAY, ML_SCOPE_MIMALLOC, false}},
	{"mi_calloc", {ML_ROLE_CALLOC, ML_SCOPE_MIMALLOC, false}},
	{"mi_calloc_aligned", {ML_ROLE_CALLOC, ML_SCOPE_MIMALLOC, false}},
	{"mi_calloc_aligned_at", {ML_ROLE_CALLOC, ML_SCOPE_MIMALLOC, false}},
	{"mi_free", {ML_ROLE_FREE, ML_SCOPE_MIMALLOC, false}},
	{"mi_free_aligned", {ML_ROLE_FREE, ML_SCOPE_MIMALLOC, false}},
	{"mi_free_size", {ML_ROLE_FREE, ML_SCOPE_MIMALLOC, false}},
	{"mi_free_size_aligned", {ML_ROLE_FREE, ML_SCOPE_MIMALLOC, false}},
	{"mi_heap_alloc_new", {ML_ROLE_ALIGNED_ALLOC, ML_SCOPE_MIMALLOC, false}},
	{"mi_heap_malloc", {ML_ROLE_ALIGNED_ALLOC, ML_SCOPE_MIMALLOC, false}},
	{"mi_heap_malloc_aligned", {ML_ROLE_ALIGNED_ALLOC, ML_SCOPE_MIMALLOC, false}},
	{"mi_heap_malloc_aligned_at", {ML_ROLE_ALIGNED_ALLOC, ML_SCOPE_MIMALLOC, false}},
	{"mi_heap_malloc_small", {ML_ROLE_ALIGNED_ALLOC, ML_SCOPE_MIMALLOC, false}},
	{"mi_heap_zalloc", {ML_ROLE_ALIGNED_ALLOC, ML_SCOPE_MIMALLOC, false}},
	{"mi_heap_zalloc_aligned", {ML_ROLE_ALIGNED_ALLOC, ML_SCOPE_MIMALLOC, false}},
	{"mi_heap_zalloc_aligned_at", {ML_ROLE_ALIGNED_ALLOC, ML_SCOPE_MIMALLOC, false}},
	{"mi_malloc", {ML_ROLE_MALLOC, ML_SCOPE_MIMALLOC, false}},
	{"mi_malloc_aligned", {ML_ROLE_MALLOC, ML_SCOPE_MIMALLOC, false}},
	{"mi_malloc_aligned_at", {ML_ROLE_MALLOC, ML_SCOPE_MIMALLOC, false}},
	{"mi_malloc_small", {ML_ROLE_MALLOC, ML_SCOPE_MIMALLOC, false}},
	{"mi_mallocn", {ML_ROLE_CALLOC, ML_SCOPE_MIMALLOC, false}},
	{"mi_memalign", {ML_ROLE_ALIGNED_ALLOC, ML_SCOPE_MIMALLOC, false}},
	{"mi_new", {ML_ROLE_MALLOC, ML_SCOPE_MIMALLOC, false}},
	{"mi_new_aligned", {ML_ROLE_MALLOC, ML_SCOPE_MIMALLOC, false}},
	{"mi_new_aligned_nothrow", {ML_ROLE_MALLOC, ML_SCOPE_MIMALLOC, false}},
	{"mi_new_n", {ML_ROLE_CALLOC, ML_SCOPE_MIMALLOC, false}},
	{"mi_new_nothrow", {ML_ROLE_MALLOC, ML_SCOPE_MIMALLOC, false}},
	{"mi_new_realloc", {ML_ROLE_REALLOC, ML_SCOPE_MIMALLOC, false}},
	{"mi_new_reallocn", {ML_ROLE_REALLOCARRAY, ML_SCOPE_MIMALLOC, false}},
	{"mi_posix_memalign", {ML_ROLE_POSIX_MEMALIGN, ML_SCOPE_MIMALLOC, false}},
	{"mi_pvalloc", {ML_ROLE_MALLOC, ML_SCOPE_MIMALLOC, false}},
	{"mi_realloc", {ML_ROLE_REALLOC, ML_SCOPE_MIMALLOC, false}},
	{"mi_realloc_aligned", {ML_ROLE_REALLOC, ML_SCOPE_MIMALLOC, false}},
	{"mi_realloc_aligned_at", {ML_ROLE_REALLOC, ML_SCOPE_MIMALLOC, false}},
	{"mi_reallocarray", {ML_ROLE_REALLOCARRAY, ML_SCOPE_MIMALLOC, false}},
	{"mi_reallocf", {ML_ROLE_REALLOC, ML_SCOPE_MIMALLOC, false}},
	{"mi_reallocn", {ML_ROLE_REALLOCARRAY, ML_SCOPE_MIMALLOC, false}},
	{"mi_recalloc", {ML_ROLE_REALLOCARRAY, ML_SCOPE_MIMALLOC, false}},
	{"mi_recalloc_aligned", {ML_ROLE_REALLOCARRAY, ML_SCOPE_MIMALLOC, false}},
	{"mi_recalloc_aligned_at", {ML_ROLE_REALLOCARRAY, ML_SCOPE_MIMALLOC, false}},
	{"mi_rezalloc", {ML_ROLE_REALLOC, ML_SCOPE_MIMALLOC, false}},
	{"mi_rezalloc_aligned", {ML_ROLE_REALLOC, ML_SCOPE_MIMALLOC, false}},
	{"mi_rezalloc_aligned_at", {ML_ROLE_REALLOC, ML_SCOPE_MIMALLOC, false}},
	{"mi_valloc", {ML_ROLE_MALLOC, ML_SCOPE_MIMALLOC, false}},
	{"mi_zalloc", {ML_ROLE_MALLOC, ML_SCOPE_MIMALLOC, false}},
	{"mi_zalloc_aligned", {ML_ROLE_MALLOC, ML_SCOPE_MIMALLOC, false}},
	{"mi_zalloc_aligned_at", {ML_ROLE_MALLOC, ML_SCOPE_MIMALLOC, false}},
	{"mi_zalloc_small", {ML_ROLE_MALLOC, ML_SCOPE_MIMALLOC, false}},
	{"mmap", {ML_ROLE_MMAP, ML_SCOPE_MAPPING, false}},
	{"mmap64", {ML_ROLE_MMAP, ML_SCOPE_MAPPING, true}},
	{"mremap", {ML_ROLE_MREMAP, ML_SCOPE_MAPPING, false}},
	{"munmap", {ML_ROLE_MUNMAP, ML_SCOPE_MAPPING, false}},
	{"posix_memalign", {ML_ROLE_POSIX_MEMALIGN, ML_SCOPE_STANDARD, false}},
	{"pvalloc", {ML_ROLE_MALLOC, ML_SCOPE_STANDARD, false}},
	{"rallocx", {ML_ROLE_REALLOC, ML_SCOPE_JEMALLOC, false}},
	{"realloc", {ML_ROLE_REALLOC, ML_SCOPE_STANDARD, false}},
	{"reallocarray", {ML_ROLE_REALLOCARRAY, ML_SCOPE_MIMALLOC, false}},
	{"reallocf", {ML_ROLE_REALLOC, ML_SCOPE_MIMALLOC, false}},
	{"scalable_aligned_free", {ML_ROLE_FREE, ML_SCOPE_TBB, false}},
	{"scalable_aligned_malloc", {ML_ROLE_MALLOC, ML_SCOPE_TBB, false}},
	{"scalable_aligned_realloc", {ML_ROLE_REALLOC, ML_SCOPE_TBB, false}},
	{"scalable_calloc", {ML_ROLE_CALLOC, ML_SCOPE_TBB, false}},
	{"scalable_free", {ML_ROLE_FREE, ML_SCOPE_TBB, false}},
	{"scalable_malloc", {ML_ROLE_MALLOC, ML_SCOPE_TBB, false}},
	{"scalable_posix_memalign", {ML_ROLE_POSIX_MEMALIGN, ML_SCOPE_TBB, false}},
	{"scalable_realloc", {ML_ROLE_REALLOC, ML_SCOPE_TBB, false}},
	{"sdallocx", {ML_ROLE_FREE, ML_SCOPE_JEMALLOC, false}},
	{"tc_calloc", {ML_ROLE_CALLOC, ML_SCOPE_TCMALLOC, false}},
	{"tc_cfree", {ML_ROLE_FREE, ML_SCOPE_TCMALLOC, true}},
	{"tc_delete", {ML_ROLE_FREE, ML_SCOPE_TCMALLOC, false}},
	{"tc_delete_aligned", {ML_ROLE_FREE, ML_SCOPE_TCMALLOC, false}},
	{"tc_delete_aligned_nothrow", {ML_ROLE_FREE, ML_SCOPE_TCMALLOC, false}},
	{"tc_delete_nothrow", {ML_ROLE_FREE, ML_SCOPE_TCMALLOC, false}},
	{"tc_delete_sized", {ML_ROLE_FREE, ML_SCOPE_TCMALLOC, false}},
	{"tc_delete_sized_aligned", {ML_ROLE_FREE, ML_SCOPE_TCMALLOC, false}},
	{"tc_deletearray", {ML_ROLE_FREE, ML_SCOPE_TCMALLOC, false}},
	{"tc_deletearray_aligned", {ML_ROLE_FREE, ML_SCOPE_TCMALLOC, false}},
	{"tc_deletearray_aligned_nothrow", {ML_ROLE_FREE, ML_SCOPE_TCMALLOC, false}},
	{"tc_deletearray_nothrow", {ML_ROLE_FREE, ML_SCOPE_TCMALLOC, false}},
	{"tc_deletearray_sized", {ML_ROLE_FREE, ML_SCOPE_TCMALLOC, false}},
	{"tc_deletearray_sized_aligned", {ML_ROLE_FREE, ML_SCOPE_TCMALLOC, false}},
	{"tc_free", {ML_ROLE_FREE, ML_SCOPE_TCMALLOC, false}},
	{"tc_free_sized", {ML_ROLE_FREE, ML_SCOPE_TCMALLOC, false}},
	{"tc_malloc", {ML_ROLE_MALLOC, ML_SCOPE_TCMALLOC, false}},
	{"tc_malloc_skip_new_handler", {ML_ROLE_MALLOC, ML_SCOPE_TCMALLOC, false}},
	{"tc_memalign", {ML_ROLE_ALIGNED_ALLOC, ML_SCOPE_TCMALLOC, false}},
	{"tc_new", {ML_ROLE_MALLOC, ML_SCOPE_TCMALLOC, false}},
	{"tc_new_aligned", {ML_ROLE_MALLOC, ML_SCOPE_TCMALLOC, false}},
	{"tc_new_aligned_nothrow", {ML_ROLE_MALLOC, ML_SCOPE_TCMALLOC, false}},
	{"tc_new_nothrow", {ML_ROLE_MALLOC, ML_SCOPE_TCMALLOC, false}},
	{"tc_newarray", {ML_ROLE_MALLOC, ML_SCOPE_TCMALLOC, false}},
	{"tc_newarray_aligned", {ML_ROLE_MALLOC, ML_SCOPE_TCMALLOC, false}},
	{"tc_newarray_aligned_nothrow", {ML_ROLE_MALLOC, ML_SCOPE_TCMALLOC, false}},
	{"tc_newarray_nothrow", {ML_ROLE_MALLOC, ML_SCOPE_TCMALLOC, false}},
	{"tc_posix_memalign", {ML_ROLE_POSIX_MEMALIGN, ML_SCOPE_TCMALLOC, false}},
	{"tc_pvalloc", {ML_ROLE_MALLOC, ML_SCOPE_TCMALLOC, false}},
	{"tc_realloc", {ML_ROLE_REALLOC, ML_SCOPE_TCMALLOC, false}},
	{"tc_valloc", {ML_ROLE_MALLOC, ML_SCOPE_TCMALLOC, false}},
	{"valloc", {ML_ROLE_MALLOC, ML_SCOPE_STANDARD, false}},
	{"vfree", {ML_ROLE_FREE, ML_SCOPE_MIMALLOC, false}},
	/* clang-format on */
};

#define ENTRY_COUNT (sizeof(entries) / sizeof(entries[0]))

static int entry_compare(const void *name, const void *entry)
{
	return strcmp(name, ((const struct role_entry *)entry)->name);
}

static bool table_find(const char *name, struct ml_role_name *out)
{
	const struct role_entry *entry =
		bsearch(name, entries, ENTRY_COUNT, sizeof(entries[0]), entry_compare);

	if (entry)
		*out = entry->meaning;
	return entry;
}

/*
 * operator new (_Znw, _Zna) and delete (_Zdl, _Zda), mangled by the Itanium C++ ABI (5.1.4.7).
 * Placement new (_ZnwmPv) allocates nothing, so the rest of the name has to be a known one.
 */
static bool operator_find(const char *name, struct ml_role_name *out)
{
	static const char *const new_rest[] = {
		"m",
		"mRKSt9nothrow_t",
		"mSt11align_val_t",
		"mSt11align_val_tRKSt9nothrow_t",
	};
	static const char *const delete_rest[] = {
		"Pv",
		"Pvm",
		"PvRKSt9nothrow_t",
		"PvSt11align_val_t",
		"PvmSt11align_val_t",
		"PvSt11align_val_tRKSt9nothrow_t",
	};
	bool is_new = !strncmp(name, "_Znw", 4) || !strncmp(name, "_Zna", 4);
	bool is_delete = !strncmp(name, "_Zdl", 4) || !strncmp(name, "_Zda", 4);
	const char *const *rest = is_new ? new_rest : delete_rest;
	size_t count = is_new ? sizeof(new_rest) / sizeof(*new_rest)
			      : sizeof(delete_rest) / sizeof(*delete_rest);

	if (!is_new && !is_delete)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (strcmp(name + 4, rest[i]))
			continue;
		out->role = is_new ? ML_ROLE_MALLOC : ML_ROLE_FREE;
		out->scope = ML_SCOPE_OPERATOR;
		/* Where plain and array forms are one function, the plain one names it. */
		out->is_alias = name[3] == 'a';
		return true;
	}
	return false;
}

/* je_malloc, _rjem_mallocx…: jemalloc built with a prefix (--with-jemalloc-prefix; Rust's crate).
 */
static bool prefixed_find(const char *name, struct ml_role_name *out)
{
	static const char *const prefixes[] = {"je_", "_rjem_"};
	struct ml_role_name meaning;

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(*prefixes); i++) {
		size_t length = strlen(prefixes[i]);

		if (strncmp(name, prefixes[i], length) || !table_find(name + length, &meaning))
			continue;
		if (meaning.scope != ML_SCOPE_STANDARD && meaning.scope != ML_SCOPE_JEMALLOC)
			return false;
		meaning.scope = ML_SCOPE_JEMALLOC;
		*out = meaning;
		return true;
	}
	return false;
}

bool ml_role_find(const char *name, struct ml_role_name *out)
{
	return table_find(name, out) || operator_find(name, out) || prefixed_find(name, out);
}

bool ml_role_find_standard(const char *name, struct ml_role_name *out)
{
	struct ml_role_name meaning;

	if (!table_find(name, &meaning) || meaning.scope != ML_SCOPE_STANDARD)
		return false;
	*out = meaning;
	return true;
}

unsigned int ml_role_argument_count(enum ml_role role)
{
	switch (role) {
	case ML_ROLE_MALLOC:
	case ML_ROLE_FREE:
		return 1;
	case ML_ROLE_CALLOC:
	case ML_ROLE_REALLOC:
	case ML_ROLE_ALIGNED_ALLOC:
	case ML_ROLE_MUNMAP:
		return 2;
	case ML_ROLE_REALLOCARRAY:
	case ML_ROLE_POSIX_MEMALIGN:
		return 3;
	case ML_ROLE_MREMAP:
		return 5;
	case ML_ROLE_MMAP:
		return 6;
	case ML_ROLE_LOADED:
	case ML_ROLE_NONE:
	case ML_ROLE_COUNT:
		break;
	}
	return 0;
}

bool ml_role_table_is_sorted(void)
{
	for (size_t i = 1; i < ENTRY_COUNT; i++)
		if (strcmp(entries[i - 1].name, entries[i].name) >= 0)
			return false;
	return true;
}

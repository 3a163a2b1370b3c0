/* SPDX-License-Identifier: BSD-2-Clause */
#include "allocators/allocator.h"

#include "allocators/names.h"
#include "allocators/roles.h"
#include "base/prefix.h"

#include <ctype.h>
#include <string.h>

/* The longest name in the tables below is shorter. */
#define NAME_LIMIT 64

/* Sorted. What the allocation functions themselves are made of; their public names have roles. */
static const char *const internal_names[] = {
	"__calloc",
	"__libc_calloc",
	"__libc_cfree",
	"__libc_free",
	"__libc_malloc",
	"__libc_malloc_impl",
	"__libc_memalign",
	"__libc_pvalloc",
	"__libc_realloc",
	"__libc_reallocarray",
	"__libc_valloc",
	"__malloc",
	"__memalign",
	"__mmap",
	"__mmap64",
	"__mremap",
	"__posix_memalign",
	"__realloc",
	"_aligned_malloc",
	"_int_malloc",
	"_int_memalign",
	"_int_realloc",
	"_mid_memalign",
	"default_calloc",
	"default_malloc",
	"je_malloc_default",
	"malloc_default",
	"malloc_hook_ini",
	"memalign_hook_ini",
	"mi_cfree",
	"mi_heap_alloc_new_n",
	"mi_heap_calloc",
	"mi_heap_calloc_aligned",
	"mi_heap_mallocn",
	"mi_heap_realloc",
	"mi_heap_realloc_aligned",
	"mi_heap_reallocf",
	"mi_heap_reallocn",
	"mi_heap_recalloc",
	"mi_heap_rezalloc",
	"mi_reallocarr",
	"realloc_hook_ini",
	"reallocarr",
	"reallocarray",
	"sysmalloc",
};

/*
 * Sorted. Functions that allocate on behalf of their caller: of the C libraries, of what many
 * programs define (xmalloc), redis, GLib, CPython, nginx, OpenSSL, APR, FFmpeg, SQLite, PHP,
 * PostgreSQL, Lua, Ruby, libuv, Rust.
 */
static const char *const wrapper_names[] = {
	"AllocSetAlloc",
	"AllocSetAllocFromNewBlock",
	"AllocSetAllocLarge",
	"AllocSetContextCreateExtended",
	"AllocSetContextCreateInternal",
	"AllocSetRealloc",
	"CRYPTO_aligned_alloc",
	"CRYPTO_calloc",
	"CRYPTO_clear_realloc",
	"CRYPTO_malloc",
	"CRYPTO_malloc_array",
	"CRYPTO_memdup",
	"CRYPTO_realloc",
	"CRYPTO_secure_malloc",
	"CRYPTO_secure_zalloc",
	"CRYPTO_strdup",
	"CRYPTO_strndup",
	"CRYPTO_zalloc",
	"MemoryContextAlloc",
	"MemoryContextAllocExtended",
	"MemoryContextAllocZero",
	"MemoryContextAllocZeroAligned",
	"MemoryContextStrdup",
	"OPENSSL_malloc",
	"PyObject_Calloc",
	"PyObject_Malloc",
	"PyObject_Realloc",
	"PyType_GenericAlloc",
	"_IO_getdelim",
	"_IO_getline",
	"_IO_vasprintf",
	"_PyObject_ArenaMalloc",
	"_PyObject_ArenaMmap",
	"_PyObject_Calloc",
	"_PyObject_Malloc",
	"_PyObject_New",
	"_PyObject_NewVar",
	"_PyObject_Realloc",
	"_PyType_AllocNoTrack",
	"__asprintf",
	"__asprintf_chk",
	"__getdelim",
	"__getline",
	"__rdl_alloc",
	"__rdl_alloc_zeroed",
	"__rdl_realloc",
	"__rg_alloc",
	"__rg_alloc_zeroed",
	"__rg_realloc",
	"__rust_alloc",
	"__rust_alloc_zeroed",
	"__rust_realloc",
	"__strdup",
	"__strndup",
	"__vasprintf",
	"__vasprintf_chk",
	"__vasprintf_internal",
	"__wcsdup",
	"__zend_calloc",
	"__zend_malloc",
	"__zend_realloc",
	"_ecalloc",
	"_emalloc",
	"_erealloc",
	"_estrdup",
	"_obstack_begin",
	"_obstack_newchunk",
	"_safe_emalloc",
	"_talloc_array",
	"_talloc_zero",
	"allocator_alloc",
	"apr_allocator_alloc",
	"apr_palloc",
	"apr_palloc_debug",
	"apr_pcalloc",
	"apr_pcalloc_debug",
	"apr_pmemdup",
	"apr_pool_create_ex",
	"apr_psprintf",
	"apr_pstrdup",
	"apr_pstrndup",
	"apr_pvsprintf",
	"asprintf",
	"av_calloc",
	"av_fast_malloc",
	"av_fast_mallocz",
	"av_fast_padded_malloc",
	"av_fast_realloc",
	"av_malloc",
	"av_malloc_array",
	"av_mallocz",
	"av_mallocz_array",
	"av_memdup",
	"av_realloc",
	"av_realloc_array",
	"av_realloc_f",
	"av_reallocp",
	"av_reallocp_array",
	"av_strdup",
	"av_strndup",
	"dbMallocRawFinish",
	"dbReallocFinish",
	"ecalloc",
	"emalloc",
	"erealloc",
	"estrdup",
	"g_aligned_alloc",
	"g_aligned_alloc0",
	"g_malloc",
	"g_malloc0",
	"g_malloc0_n",
	"g_malloc_n",
	"g_memdup",
	"g_memdup2",
	"g_realloc",
	"g_realloc_n",
	"g_strconcat",
	"g_strdup",
	"g_strdup_printf",
	"g_strdup_vprintf",
	"g_strdupv",
	"g_strndup",
	"g_vasprintf",
	"gc_alloc",
	"getdelim",
	"getline",
	"l_alloc",
	"luaM_growaux_",
	"luaM_malloc_",
	"luaM_realloc_",
	"luaM_saferealloc_",
	"mallocWithAlarm",
	"mi_heap_strdup",
	"mi_heap_strndup",
	"mi_strdup",
	"mi_strndup",
	"new_arena",
	"ngx_alloc",
	"ngx_calloc",
	"ngx_create_pool",
	"ngx_memalign",
	"ngx_palloc",
	"ngx_palloc_block",
	"ngx_palloc_large",
	"ngx_palloc_small",
	"ngx_pcalloc",
	"ngx_pmemalign",
	"ngx_pnalloc",
	"ngx_pstrdup",
	"objspace_xcalloc",
	"objspace_xmalloc0",
	"objspace_xrealloc",
	"palloc",
	"palloc0",
	"palloc_extended",
	"pstrdup",
	"pymalloc_alloc",
	"repalloc",
	"rpl_calloc",
	"rpl_malloc",
	"rpl_realloc",
	"ruby_xcalloc",
	"ruby_xmalloc",
	"ruby_xmalloc2",
	"ruby_xrealloc",
	"ruby_xrealloc2",
	"safe_calloc",
	"safe_malloc",
	"safe_realloc",
	"sqlite3MPrintf",
	"sqlite3Malloc",
	"sqlite3MallocZero",
	"sqlite3MemMalloc",
	"sqlite3MemRealloc",
	"sqlite3Realloc",
	"sqlite3VMPrintf",
	"sqlite3_malloc",
	"sqlite3_malloc64",
	"sqlite3_mprintf",
	"sqlite3_realloc",
	"sqlite3_realloc64",
	"sqlite3_vmprintf",
	"strdup",
	"strndup",
	"talloc_named",
	"talloc_strdup",
	"uv__calloc",
	"uv__malloc",
	"uv__realloc",
	"uv__reallocf",
	"uv__strdup",
	"valkey_calloc",
	"valkey_malloc",
	"valkey_realloc",
	"vasprintf",
	"wcsdup",
	"x2nrealloc",
	"x2realloc",
	"xasprintf",
	"xcalloc",
	"xcharalloc",
	"xicalloc",
	"ximalloc",
	"ximemdup",
	"xirealloc",
	"xizalloc",
	"xmalloc",
	"xmalloc0",
	"xmallocarray",
	"xmallocz",
	"xmemdup",
	"xmemdupz",
	"xmlStrdup",
	"xmlStrndup",
	"xnmalloc",
	"xnrealloc",
	"xpalloc",
	"xrealloc",
	"xreallocarray",
	"xstrdup",
	"xstrndup",
	"xvasprintf",
	"xzalloc",
	"zcalloc",
	"zcalloc_num",
	"zcalloc_usable",
	"zmalloc",
	"zmalloc_usable",
	"zrealloc",
	"zrealloc_usable",
	"zstrdup",
	"ztrycalloc",
	"ztrycalloc_usable",
	"ztrycalloc_usable_internal",
	"ztrymalloc",
	"ztrymalloc_usable",
	"ztrymalloc_usable_internal",
	"ztryrealloc",
	"ztryrealloc_usable",
	"ztryrealloc_usable_internal",
};

/* Whole families, by the beginning of their names. Mangled C++: namespace std (vector, string,
 * allocator, make_shared…) and __gnu_cxx. Rust: crate alloc (Box, Vec, raw_vec) and hashbrown. */
static const char *const wrapper_prefixes[] = {
	"_ZNSt",
	"_ZNKSt",
	"_ZSt",
	"_ZNSs",
	"_ZNSa",
	"_ZN9__gnu_cxx",
	"_ZNK9__gnu_cxx",
	"_ZN5alloc",
	"_ZN9hashbrown",
	"_ZN10QArrayData8allocate",
	"_Z12AllocateHeap",
	"_ZN2os6malloc",
	"_ZN2os7realloc",
	"g_try_",
	"g_slice_",
	"PyMem_",
	"_PyMem_",
	"_PyObject_GC_",
	"PyDataMem_",
	"sqlite3DbMalloc",
	"sqlite3DbRealloc",
	"sqlite3DbStrDup",
	"sqlite3DbStrNDup",
};

/* jemalloc's newImpl<> and fallback, tcmalloc's namespace, mimalloc's private names, and what
 * sanitizers put in front of malloc. */
static const char *const internal_prefixes[] = {
	"_ZL7newImpl",    "_ZL13fallback_impl", "_ZL18fallback_alignedIm",
	"_ZL9handleOOM",  "_ZN8tcmalloc",       "_mi_",
	"__interceptor_", "___interceptor_",
};

static int name_compare(const void *key, const void *element)
{
	return strcmp(key, *(const char *const *)element);
}

static bool is_listed(const char *name, const char *const *names, size_t count)
{
	return bsearch(name, names, count, sizeof(*names), name_compare);
}

#define IS_LISTED(name, names)  (is_listed(name, names, sizeof(names) / sizeof(*(names))))
#define HAS_PREFIX(name, names) (ml_has_prefix_of(name, names, sizeof(names) / sizeof(*(names))))

/* The name as its author wrote it: without glibc's __GI_ of hidden aliases and without what
 * compilers add to parts of a function (malloc.cold, xmalloc.constprop.0). False when too long. */
static bool plain_name(const char *name, char plain[static NAME_LIMIT])
{
	size_t length;

	if (!strncmp(name, "__GI_", 5))
		name += 5;
	length = strcspn(name, ".");
	if (!length || length >= NAME_LIMIT)
		return false;
	memcpy(plain, name, length);
	plain[length] = '\0';
	return true;
}

/*
 * Rust's names that begin with the type they implement a trait for (`<alloc::vec::Vec<T> as …>`),
 * in the legacy mangling and in v0 (RFC 2603: "_R", crates as C…_<length><name>); and the
 * allocator's shims, which rustc 1.86 began to mangle.
 */
static bool is_rust_wrapper(const char *name)
{
	if (!strncmp(name, "_ZN", 3)) {
		const char *type = name + 3;

		while (isdigit((unsigned char)*type))
			type++;
		return !strncmp(type, "_$LT$alloc..", 12) || !strncmp(type, "_$LT$hashbrown..", 16);
	}
	if (strncmp(name, "_R", 2))
		return false;
	return strstr(name, "_5alloc") || strstr(name, "_9hashbrown") ||
	       strstr(name, "___rust_alloc") || strstr(name, "___rust_realloc");
}

bool ml_allocator_is_internal(const char *name)
{
	struct ml_role_name meaning;
	char plain[NAME_LIMIT];

	if (!name)
		return false;
	if (HAS_PREFIX(name, internal_prefixes))
		return true;
	if (!plain_name(name, plain))
		return false;
	if (ml_role_find(plain, &meaning))
		return meaning.role != ML_ROLE_NONE;
	return IS_LISTED(plain, internal_names);
}

bool ml_allocator_is_wrapper(const char *name)
{
	char plain[NAME_LIMIT];

	if (!name)
		return false;
	if (ml_allocator_is_internal(name) || HAS_PREFIX(name, wrapper_prefixes) ||
	    is_rust_wrapper(name))
		return true;
	return plain_name(name, plain) && IS_LISTED(plain, wrapper_names);
}

static bool is_sorted(const char *const *names, size_t count)
{
	for (size_t i = 1; i < count; i++)
		if (strcmp(names[i - 1], names[i]) >= 0)
			return false;
	return true;
}

bool ml_names_are_sorted(void)
{
	return is_sorted(internal_names, sizeof(internal_names) / sizeof(*internal_names)) &&
	       is_sorted(wrapper_names, sizeof(wrapper_names) / sizeof(*wrapper_names));
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/libc_internals.h"

#include "elf/module.h"

#include <string.h>

/* glibc: malloc/malloc.c and arena.c, nptl/allocatestack.c, elf/dl-*.c, locale/loadarchive.c;
 * musl: src/malloc, src/thread/pthread_create.c. Compilers append .part.0, .constprop.0 and so on.
 */
static const char *const internals[] = {
	"sysmalloc",
	"new_heap",
	"alloc_new_heap",
	"mmap_chunk",
	"mremap_chunk",
	"allocate_stack",
	"_int_",
	"__libc_",
	"__pthread_create",
	"pthread_create",
	"_dl_",
	"_nl_",
	"__malloc_",
	"__expand_heap",
	"__simple_malloc",
	"alloc_slot",
	"alloc_group",
	"malloc",
	"realloc",
	"calloc",
	"free",
	"nontrivial_free",
	"munmap_chunk",
	"tcache_",
	"arena_get",
	"__mmap",
	"__munmap",
	"_IO_",
	"heap_trim",
	"__deallocate_stack",
};

/* Whether the function at ELF address @address is one in which glibc or musl maps memory for its
 * own use: arenas, big blocks, thread stacks, the dynamic linker, locale archives. */
static bool is_internal(struct ml_module *module, uint64_t address)
{
	struct ml_symbol symbol;

	if (!ml_module_symbol_at(module, address, &symbol))
		return false;
	for (size_t i = 0; i < sizeof(internals) / sizeof(*internals); i++) {
		size_t length = strlen(internals[i]);

		if (strncmp(symbol.name, internals[i], length))
			continue;
		/* A prefix ends in '_'; a whole name may only be followed by a compiler's suffix.
		 */
		if (internals[i][length - 1] == '_' || !symbol.name[length] ||
		    symbol.name[length] == '.')
			return true;
	}
	return false;
}

bool ml_libc_internal_stack(const struct ml_stack *stack)
{
	return stack && stack->count && stack->frames[0].module &&
	       ml_module_is_static(stack->frames[0].module) &&
	       is_internal(stack->frames[0].module, stack->frames[0].address - 1);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/kernel_code.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How far from its start a stack may still be in the allocator. */
#define OWN_FRAMES_MAX 16

/* A line of kallsyms: "address type name[\t[module]]"; names are at most 512 (KSYM_NAME_LEN). */
#define LINE_LENGTH 640

enum code_class {
	CODE_OTHER,
	CODE_ALLOCATOR,
	CODE_SLAB_PAGES,
	CODE_PERCPU_PAGES,
	CODE_INTERRUPT,
};

/*
 * Names of functions, over the ages: 5.x has kmalloc_order and __kmalloc_large_node, 6.1
 * kmalloc_large, 6.10 the suffix _noprof. Which of a chain of statics stays a function of its own
 * is the compiler's choice, so all are named. A name matches up to its end or a dot (".isra.0").
 */
static const struct {
	const char *name;
	enum code_class class;
	bool is_prefix;
} known_code[] = {
	{"allocate_slab", CODE_SLAB_PAGES, false},
	{"new_slab", CODE_SLAB_PAGES, false},
	{"___slab_alloc", CODE_SLAB_PAGES, false},
	{"___kmalloc_large_node", CODE_SLAB_PAGES, false},
	{"__kmalloc_large_node", CODE_SLAB_PAGES, true},
	{"__kmalloc_large_noprof", CODE_SLAB_PAGES, false},
	{"kmalloc_large", CODE_SLAB_PAGES, true},
	{"kmalloc_order", CODE_SLAB_PAGES, true},
	{"pcpu_alloc_pages", CODE_PERCPU_PAGES, true},
	{"pcpu_populate_chunk", CODE_PERCPU_PAGES, false},
	{"asm_common_interrupt", CODE_INTERRUPT, false},
	{"asm_spurious_interrupt", CODE_INTERRUPT, false},
	{"asm_sysvec_", CODE_INTERRUPT, true},
	{"__alloc_pages", CODE_ALLOCATOR, true},
	{"__alloc_frozen_pages", CODE_ALLOCATOR, true},
	{"alloc_pages", CODE_ALLOCATOR, true},
	{"alloc_frozen_pages", CODE_ALLOCATOR, true},
	{"alloc_page_interleave", CODE_ALLOCATOR, false},
	{"__folio_alloc", CODE_ALLOCATOR, true},
	{"folio_alloc", CODE_ALLOCATOR, true},
	{"vma_alloc_folio", CODE_ALLOCATOR, true},
	{"__get_free_pages", CODE_ALLOCATOR, true},
	{"get_free_pages", CODE_ALLOCATOR, true},
	{"get_zeroed_page", CODE_ALLOCATOR, true},
	{"__kmalloc", CODE_ALLOCATOR, true},
	{"kmalloc_trace", CODE_ALLOCATOR, true},
	{"kmalloc_node_trace", CODE_ALLOCATOR, true},
	{"kmem_cache_alloc", CODE_ALLOCATOR, true},
	{"pcpu_alloc", CODE_ALLOCATOR, true},
	{"__alloc_percpu", CODE_ALLOCATOR, true},
	{"bpf_trace_run", CODE_ALLOCATOR, true},
	{"__bpf_trace_mm_page_alloc", CODE_ALLOCATOR, false},
	{"__traceiter_mm_page_alloc", CODE_ALLOCATOR, false},
};

/* Not the page allocator's, although they begin like it. */
static const char *const not_allocators[] = {"folio_alloc_swap", "folio_alloc_buffers"};

static bool name_is(const char *name, const char *wanted, bool is_prefix)
{
	size_t length = strlen(wanted);

	if (strncmp(name, wanted, length) != 0)
		return false;
	return is_prefix || name[length] == '\0' || name[length] == '.';
}

static enum code_class classify(const char *name)
{
	/* Nothing is called from the parts split off as unlikely but warnings. */
	if (strstr(name, ".cold"))
		return CODE_OTHER;
	for (size_t i = 0; i < sizeof(not_allocators) / sizeof(not_allocators[0]); i++) {
		if (name_is(name, not_allocators[i], false))
			return CODE_OTHER;
	}
	for (size_t i = 0; i < sizeof(known_code) / sizeof(known_code[0]); i++) {
		if (name_is(name, known_code[i].name, known_code[i].is_prefix))
			return known_code[i].class;
	}
	return CODE_OTHER;
}

struct reading {
	struct ml_kernel_code *code;
	enum code_class class; /* of the function whose end is not known yet */
	uint64_t start;
};

static void range_close(struct reading *reading, uint64_t end)
{
	struct ml_kernel_range range = {reading->start, end};
	struct ml_kernel_code *code = reading->code;

	switch (reading->class) {
	case CODE_SLAB_PAGES:
		*ml_array_push(&code->slab_pages) = range;
		break;
	case CODE_PERCPU_PAGES:
		*ml_array_push(&code->percpu_pages) = range;
		break;
	case CODE_INTERRUPT:
		if (!code->interrupt.start || range.start < code->interrupt.start)
			code->interrupt.start = range.start;
		if (range.end > code->interrupt.end)
			code->interrupt.end = range.end;
		return;
	case CODE_ALLOCATOR:
		break;
	case CODE_OTHER:
		return;
	}
	/* What fetches pages is part of its allocator as well. */
	*ml_array_push(&code->allocators) = range;
}

/* The kernel's own symbols come sorted by address: a function ends where the next one begins. False
 * at the first one of a module. */
static bool take_line(struct reading *reading, const char *line, bool *has_address)
{
	char *at;
	uint64_t address = strtoull(line, &at, 16);

	if (strchr(line, '['))
		return false;
	if (*at != ' ' || !isalpha((unsigned char)at[1]) || at[2] != ' ' || !address)
		return true;
	*has_address = true;

	char kind = (char)tolower((unsigned char)at[1]);
	const char *name = at + 3;
	enum code_class class = kind == 't' || kind == 'w' ? classify(name) : CODE_OTHER;

	if (address == reading->start) {
		if (reading->class == CODE_OTHER)
			reading->class = class;
		return true;
	}
	range_close(reading, address);
	reading->start = address;
	reading->class = class;
	return true;
}

struct ml_error *ml_kernel_code_read(const char *path, struct ml_kernel_code *out)
{
	struct ml_kernel_code fresh = {0};
	struct reading reading = {.code = &fresh};
	char line[LINE_LENGTH];
	bool has_address = false;
	FILE *file = fopen(path, "re");

	if (!file)
		return ml_error_errno(errno, "%s", path);
	while (fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		if (!take_line(&reading, line, &has_address))
			break;
	}
	range_close(&reading, reading.start + 1);
	fclose(file);
	if (!has_address) {
		ml_kernel_code_deinit(&fresh);
		return ml_error_new(ML_ERROR_UNSUPPORTED,
				    "%s shows no addresses; run as root, or set "
				    "kernel.kptr_restrict to 1 or less",
				    path);
	}
	*out = fresh;
	return NULL;
}

static bool range_has(const struct ml_kernel_range *range, uint64_t ip)
{
	/* A return address is behind its call: at the very end when the call never returns. */
	return ip > range->start && ip <= range->end;
}

size_t ml_kernel_code_own_frames(const struct ml_kernel_code *code, const uint64_t *ip,
				 size_t count)
{
	size_t own = 0;

	for (size_t i = 0; i < count && i < OWN_FRAMES_MAX; i++) {
		bool is_own = false;

		ml_array_each (range, &code->allocators)
			is_own = is_own || range_has(range, ip[i]);
		if (is_own)
			own = i + 1;
		else if (own)
			break;
	}
	return own < count ? own : 0;
}

void ml_kernel_code_configure(const struct ml_kernel_code *code, bool percpu,
			      struct ml_kernel_config *config)
{
	size_t used = 0;

	config->interrupt = code->interrupt;
	ml_array_each (range, &code->slab_pages) {
		if (used < ML_KERNEL_NESTED_RANGES)
			config->nested[used++] = *range;
	}
	if (!percpu)
		return;
	ml_array_each (range, &code->percpu_pages) {
		if (used < ML_KERNEL_NESTED_RANGES)
			config->nested[used++] = *range;
	}
}

void ml_kernel_code_deinit(struct ml_kernel_code *code)
{
	ml_array_free(&code->allocators);
	ml_array_free(&code->slab_pages);
	ml_array_free(&code->percpu_pages);
	*code = (struct ml_kernel_code){0};
}

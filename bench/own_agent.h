/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * The agent in a program's own process: its image, entered as a stub enters it, with functions
 * behind it that do nothing.
 */
#ifndef ML_BENCH_OWN_AGENT_H
#define ML_BENCH_OWN_AGENT_H

#include "inject/agent_image.h"
#include "inject/machine.h"
#include "own_maps.h"
#include "shared/sample_weight.h"
#include "trace/agent_rows.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define LINES (1u << 20)

/* A stub's slot, and what is called of it. */
struct slot {
	uint8_t *self;
	uint64_t entry; /* of the image */
	char *called;
	uint8_t *brief; /* its short way */
};

struct slot bench_malloc_slot, bench_calloc_slot, bench_realloc_slot, bench_free_slot;
void *bench_next; /* what the allocator gives out */
/* What stands behind calloc and realloc. */
void *(*bench_zero)(size_t count, size_t size), *(*bench_resize)(void *address, size_t size);
void *bench_malloc(size_t size);
void *bench_calloc(size_t count, size_t size);
void *bench_realloc(void *address, size_t size);
void bench_free(void *address);
void bench_outermost(uint32_t rounds, void (*run)(uint32_t rounds));
extern char bench_malloc_code[], bench_free_code[], bench_malloc_stub[], bench_free_stub[];
extern char bench_calloc_code[], bench_realloc_code[];

__asm__(".pushsection .text\n"
	"bench_malloc: jmp *bench_malloc_slot+16(%rip)\n"
	"bench_free: jmp *bench_free_slot+16(%rip)\n"
	"bench_calloc: jmp *bench_calloc_slot+16(%rip)\n"
	"bench_realloc: jmp *bench_realloc_slot+16(%rip)\n"
	"bench_malloc_stub: push bench_malloc_slot(%rip); jmp *bench_malloc_slot+8(%rip)\n"
	"bench_free_stub: push bench_free_slot(%rip); jmp *bench_free_slot+8(%rip)\n"
	"bench_malloc_code: mov bench_next(%rip), %rax; ret\n"
	"bench_free_code: ret\n"
	"bench_calloc_code: jmp *bench_zero(%rip)\n"
	"bench_realloc_code: jmp *bench_resize(%rip)\n"
	/* Stacks end here, in whatever libc this runs. */
	"bench_outermost: .cfi_startproc; .cfi_undefined rip\n"
	"sub $8, %rsp; call *%rsi; add $8, %rsp; ret; .cfi_endproc\n"
	".popsection\n");

static struct ml_agent_memory *memory;
static struct ml_agent_rows rows;
static struct ml_agent_range agent_code;
static char heap[1]; /* addresses are made up from here on: nobody looks behind them */

static void *address_of(uint32_t i, uint32_t spacing)
{
	return (void *)(((uint64_t)heap & ~0xfffffull) + 0x10000000u + (uint64_t)i * spacing);
}

static void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

/* Rows for all that is mapped here, as the tracer makes them. */
static void tell_maps(void)
{
	struct ml_agent_rows_copy copy = {0};

	if (ml_agent_rows_init(&rows))
		die("rows");
	describe_own_maps(rows.tables, &memory->maps[0]);
	ml_agent_rows_copy(&rows, memory, &copy);
	memory->epoch = 1;
}

static void patch(bool is_patched)
{
	bool is_brief = memory->always_bytes;

	bench_malloc_slot.called = !is_patched ? bench_malloc_code
				   : is_brief  ? (char *)bench_malloc_slot.brief
					       : bench_malloc_stub;
	bench_free_slot.called = !is_patched ? bench_free_code
				 : is_brief  ? (char *)bench_free_slot.brief
					     : bench_free_stub;
	bench_calloc_slot.called = is_patched ? (char *)bench_calloc_slot.brief : bench_calloc_code;
	bench_realloc_slot.called =
		is_patched ? (char *)bench_realloc_slot.brief : bench_realloc_code;
}

static void configure(uint64_t sample_bytes)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	memory->config = (struct ml_trace_config){.max_size = UINT64_MAX,
						  .sample_every = 1,
						  .sample_bytes = sample_bytes,
						  .depth = ML_STACK_DEPTH};
	memory->always_bytes = ML_ALWAYS_SAMPLED * sample_bytes;
	memory->is_exact = !sample_bytes;
	memory->now_ns = ((uint64_t)now.tv_sec + 1000000) * 1000000000u;
	memory->start_ns = memory->now_ns;
	memory->line_limit = LINES;
	memory->line_factor = ML_AGENT_LINES_ORDERED;
	memory->stack_limit = ML_AGENT_STACKS;
	memory->word_limit = ML_AGENT_WORDS;
	memory->tgid = (uint32_t)getpid();
	memory->header.mode = ML_AGENT_ON;
	patch(true);
}

static void write_slot(struct slot *out, uint8_t *slot, uint32_t role, const char *function,
		       uint32_t entry, const struct ml_agent_short *brief)
{
	const struct ml_prologue_first first = {0};
	const struct ml_agent_descriptor descriptor = {.trampoline = (uint64_t)slot + ML_SLOT_CODE,
						       .role = role};
	uint64_t code = agent_code.start + entry, self = (uint64_t)slot;
	size_t size;

	memcpy(slot, &descriptor, sizeof(descriptor));
	memcpy(slot + ML_SLOT_SELF, &self, sizeof(self));
	memcpy(slot + ML_SLOT_LONG, &code, sizeof(code));
	ml_machine_write_short(slot, ml_agent_image(&size), brief,
			       agent_code.start - ML_AGENT_IMAGE_CODE + ML_AGENT_IMAGE_DATA,
			       &first);
	/* jmp *(%rip) */
	memcpy(slot + ML_SLOT_CODE, (const uint8_t[]){0xff, 0x25, 0, 0, 0, 0}, 6);
	memcpy(slot + ML_SLOT_CODE + 6, &function, sizeof(function));
	*out = (struct slot){.self = slot,
			     .entry = code,
			     .brief = slot + ML_SLOT_CODE - (brief->end - brief->start)};
}

#define SLOTS 4

static void load(void)
{
	size_t size, slots, room, bytes = sizeof(*memory) + LINES * sizeof(struct ml_agent_line);
	const struct ml_agent_image_header *image = ml_agent_image(&size);
	struct ml_agent_data *data;
	uint8_t *base, *code;

	slots = (size + ML_SLOT_BYTES - 1) & ~(size_t)(ML_SLOT_BYTES - 1);
	room = ML_AGENT_IMAGE_CODE + ((slots + SLOTS * ML_SLOT_BYTES + 4095) & ~(size_t)4095);
	base = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED || (void *)memory == MAP_FAILED)
		die("mmap");
	code = base + ML_AGENT_IMAGE_CODE;
	data = (struct ml_agent_data *)(base + ML_AGENT_IMAGE_DATA);
	memcpy(code, image, size);
	data->memory = memory;
	for (size_t i = 0; i < ML_AGENT_SIEVE; i++)
		data->sieve[i] = ML_AGENT_SIEVE_ALL;
	/* The slots count as code of the agent's. */
	agent_code = (struct ml_agent_range){(uint64_t)code, slots + SLOTS * ML_SLOT_BYTES};
	write_slot(&bench_malloc_slot, code + slots, ML_ROLE_MALLOC, bench_malloc_code,
		   image->malloc, &image->malloc_short);
	write_slot(&bench_free_slot, code + slots + ML_SLOT_BYTES, ML_ROLE_FREE, bench_free_code,
		   image->free, &image->free_short);
	write_slot(&bench_calloc_slot, code + slots + 2 * ML_SLOT_BYTES, ML_ROLE_CALLOC,
		   bench_calloc_code, image->calloc, &image->calloc_short);
	write_slot(&bench_realloc_slot, code + slots + 3 * ML_SLOT_BYTES, ML_ROLE_REALLOC,
		   bench_realloc_code, image->realloc, &image->realloc_short);
	if (mprotect(code, room - ML_AGENT_IMAGE_CODE, PROT_READ | PROT_EXEC))
		die("mprotect");
}

/* With its books empty, every call kept. */
static inline int begin(void)
{
	load();
	tell_maps();
	configure(0);
	return 0;
}

static inline int unload(void)
{
	ml_agent_rows_deinit(&rows);
	return munmap(memory, sizeof(*memory) + LINES * sizeof(struct ml_agent_line)) ||
	       munmap((char *)agent_code.start - ML_AGENT_IMAGE_CODE,
		      ML_AGENT_IMAGE_CODE + agent_code.size);
}

#endif

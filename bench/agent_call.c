/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * The agent's own time per malloc and free: its image in this process, its entry called as a stub
 * calls it, with functions behind it that do nothing. Instructions are counted by
 *     valgrind --tool=callgrind build/bench/agent_call NAME ROUNDS
 * with two numbers of rounds: the difference is exact.
 *
 *     agent_call [NAME [ROUNDS]]
 */
#include "base/array.h"
#include "inject/agent_image.h"
#include "own_maps.h"
#include "shared/sample_weight.h"
#include "trace/agent_rows.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define BATCHES 41
#define LINES   (1u << 20)
#define BLOCKS  100000u

/* What a stub's slot holds, and whether it is called at all. */
struct slot {
	struct ml_agent_descriptor *self;
	uint64_t entry;
	char *called;
};

struct slot bench_malloc_slot, bench_free_slot;
void *bench_next; /* what the allocator gives out */
void *bench_malloc(size_t size);
void bench_free(void *address);
void bench_outermost(uint32_t rounds, void (*run)(uint32_t rounds));
extern char bench_malloc_code[], bench_free_code[], bench_malloc_stub[], bench_free_stub[];

__asm__(".text\n"
	"bench_malloc: jmp *bench_malloc_slot+16(%rip)\n"
	"bench_free: jmp *bench_free_slot+16(%rip)\n"
	"bench_malloc_stub: push bench_malloc_slot(%rip); jmp *bench_malloc_slot+8(%rip)\n"
	"bench_free_stub: push bench_free_slot(%rip); jmp *bench_free_slot+8(%rip)\n"
	"bench_malloc_code: mov bench_next(%rip), %rax; ret\n"
	"bench_free_code: ret\n"
	/* Stacks end here, in whatever libc this runs. */
	"bench_outermost: .cfi_startproc; .cfi_undefined rip\n"
	"sub $8, %rsp; call *%rsi; add $8, %rsp; ret; .cfi_endproc\n");

static struct ml_agent_memory *memory;
static struct ml_agent_descriptor malloc_descriptor, free_descriptor;
static struct ml_agent_rows rows;
static volatile int sink;

static void fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

/* ---- the agent in this process ----------------------------------------------------------------
 */

/* Rows for all that is mapped here, as the tracer makes them. */
static void tell_maps(void)
{
	struct ml_agent_rows_copy copy = {0};

	if (ml_agent_rows_init(&rows))
		fail("rows");
	describe_own_maps(rows.tables, &memory->maps[0]);
	ml_agent_rows_copy(&rows, memory, &copy);
	memory->epoch = 1;
}

static void patch(bool is_patched)
{
	bench_malloc_slot.called = is_patched ? bench_malloc_stub : bench_malloc_code;
	bench_free_slot.called = is_patched ? bench_free_stub : bench_free_code;
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
	memory->stack_limit = ML_AGENT_STACKS;
	memory->tgid = (uint32_t)getpid();
	memory->header.mode = ML_AGENT_ON;
	patch(true);
}

static void load(void)
{
	size_t size, room, bytes = sizeof(*memory) + LINES * sizeof(struct ml_agent_line);
	const struct ml_agent_image_header *image = ml_agent_image(&size);
	char *base, *code;

	room = ML_AGENT_IMAGE_CODE + ((size + 4095) & ~(size_t)4095);
	base = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED || memory == MAP_FAILED)
		fail("mmap");
	code = base + ML_AGENT_IMAGE_CODE;
	memcpy(code, image, size);
	memcpy(base + ML_AGENT_IMAGE_DATA, &memory, sizeof(memory));
	if (mprotect(code, room - ML_AGENT_IMAGE_CODE, PROT_READ | PROT_EXEC))
		fail("mprotect");
	malloc_descriptor = (struct ml_agent_descriptor){.trampoline = (uint64_t)bench_malloc_code,
							 .role = ML_ROLE_MALLOC};
	free_descriptor = (struct ml_agent_descriptor){.trampoline = (uint64_t)bench_free_code,
						       .role = ML_ROLE_FREE};
	bench_malloc_slot.self = &malloc_descriptor;
	bench_free_slot.self = &free_descriptor;
	bench_malloc_slot.entry = (uint64_t)code + image->malloc;
	bench_free_slot.entry = (uint64_t)code + image->free;
}

/* ---- workloads --------------------------------------------------------------------------------
 */

static char heap[1]; /* addresses are made up from here on: nobody looks behind them */

static void *address_of(uint32_t i, uint32_t spacing)
{
	return (void *)(((uint64_t)heap & ~0xfffffull) + 0x10000000u + (uint64_t)i * spacing);
}

__attribute__((noinline)) static void pair(size_t size)
{
	void *block = bench_malloc(size);

	bench_free(block);
}

__attribute__((noinline)) static void at_depth(uint32_t depth, size_t size)
{
	if (depth)
		at_depth(depth - 1, size);
	else
		pair(size);
	sink++;
}

static void shallow(uint32_t rounds)
{
	bench_next = address_of(1, 64);
	for (uint32_t i = 0; i < rounds; i++)
		at_depth(3, 48);
}

static void deep(uint32_t rounds)
{
	bench_next = address_of(1, 64);
	for (uint32_t i = 0; i < rounds; i++)
		at_depth(20, 48);
}

/* Few addresses in turn: more than one is remembered. */
static void remembered(uint32_t rounds)
{
	static void *live[64];
	static uint32_t next;

	for (uint32_t i = 0; i < rounds; i++, next++) {
		bench_free(live[next % 64]);
		bench_next = live[next % 64] = address_of(next * 37 % 64, 48);
		bench_malloc(24);
	}
}

/* Blocks that were booked long ago, all over the heap. @ahead: another is freed than is given out.
 */
static void replace(uint32_t rounds, uint32_t ahead)
{
	static char is_live[BLOCKS];
	static uint32_t next;

	for (uint32_t i = 0; i < rounds; i++) {
		uint32_t other = (next + ahead) % BLOCKS;

		if (is_live[other])
			bench_free(address_of(other, 272));
		is_live[other] = 0;
		bench_next = address_of(next, 272);
		bench_malloc(16 + next % 500);
		is_live[next] = 1;
		next = (next + 7919) % BLOCKS;
	}
}

static void table(uint32_t rounds)
{
	replace(rounds, 0);
}

static void table_ahead(uint32_t rounds)
{
	replace(rounds, 1361 * 7919 % BLOCKS);
}

static void wander(uint32_t path, uint32_t depth);

__attribute__((noinline)) static void wander_left(uint32_t path, uint32_t depth)
{
	wander(path, depth);
	sink++;
}

__attribute__((noinline)) static void wander_right(uint32_t path, uint32_t depth)
{
	wander(path, depth);
	sink--;
}

/* Calls of one function or another of equal frames, by the bits of @path. */
__attribute__((noinline)) static void wander(uint32_t path, uint32_t depth)
{
	if (!depth)
		pair(48);
	else if (path & 1)
		wander_left(path >> 1, depth - 1);
	else
		wander_right(path >> 1, depth - 1);
	sink++;
}

/* As many stacks of 20 frames as @bits tell, in no order, all beginning alike. */
static void paths(uint32_t rounds, uint32_t bits)
{
	static uint32_t random = 1;

	bench_next = address_of(1, 64);
	for (uint32_t i = 0; i < rounds; i++) {
		random = random * 1664525 + 1013904223;
		wander(random >> 8 & ((1u << bits) - 1), 8 + bits / 8 * 6);
	}
}

static void few_stacks(uint32_t rounds)
{
	paths(rounds, 3);
}

static void many_stacks(uint32_t rounds)
{
	paths(rounds, 8);
}

static void all_stacks(uint32_t rounds)
{
	paths(rounds, 14);
}

static const struct workload {
	const char *name;
	void (*run)(uint32_t rounds);
	uint64_t sample_bytes;
} workloads[] = {
	{"shallow", shallow, 0},         {"deep", deep, 0},
	{"remembered", remembered, 0},   {"table", table, 0},
	{"table-ahead", table_ahead, 0}, {"few-stacks", few_stacks, 0},
	{"many-stacks", many_stacks, 0}, {"all-stacks", all_stacks, 0},
	{"sampled", shallow, 524288},    {"sampled-table", table, 524288},
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int compare(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

	return a < b ? -1 : a > b;
}

static uint64_t quiet_ns(void (*run)(uint32_t rounds), uint32_t rounds)
{
	uint64_t times[BATCHES];

	for (size_t i = 0; i < BATCHES; i++) {
		uint64_t start = now_ns();

		bench_outermost(rounds, run);
		times[i] = now_ns() - start;
	}
	qsort(times, BATCHES, sizeof(*times), compare);
	return times[BATCHES / 10];
}

/* ns a pair with the agent, and with it switched off. */
static void measure(const struct workload *workload)
{
	const uint32_t rounds = 20000;
	double on, off;

	configure(workload->sample_bytes);
	bench_outermost(5 * BLOCKS, workload->run);
	on = (double)quiet_ns(workload->run, rounds) / rounds;
	patch(false);
	off = (double)quiet_ns(workload->run, rounds) / rounds;
	printf("| %s | %.1f | %.1f |\n", workload->name, on, off);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	bool counts = argc > 2;

	load();
	tell_maps();
	if (!counts)
		printf("| workload | ns a pair | ns without it |\n|---|---|---|\n");
	for (size_t i = 0; i < sizeof(workloads) / sizeof(*workloads); i++) {
		const struct workload *workload = &workloads[i];

		if (argc > 1 && strcmp(argv[1], workload->name) != 0)
			continue;
		if (!counts) {
			measure(workload);
			continue;
		}
		configure(workload->sample_bytes);
		patch(strcmp(argv[2], "0") != 0);
		bench_outermost((uint32_t)atoi(argv[2]), workload->run);
	}
	return 0;
}

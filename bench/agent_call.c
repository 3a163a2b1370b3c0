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
#include "own_agent.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BATCHES 41
#define BLOCKS  100000u

static volatile int sink;

/* ---- workloads --------------------------------------------------------------------------------
 */

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

/* The stacks are those of wander(), far in. */
__attribute__((noinline)) static void wander_far_in(uint32_t depth, uint32_t path)
{
	if (depth)
		wander_far_in(depth - 1, path);
	else
		wander(path, 8);
	sink++;
}

/* 256 stacks of 32 frames that end alike and differ in the inner ones, in no order. */
static void inner_stacks(uint32_t rounds)
{
	static uint32_t random = 1;

	bench_next = address_of(1, 64);
	for (uint32_t i = 0; i < rounds; i++) {
		random = random * 1664525 + 1013904223;
		wander_far_in(14, random >> 8 & 255);
	}
}

static const struct workload {
	const char *name;
	void (*run)(uint32_t rounds);
	uint64_t sample_bytes;
} workloads[] = {
	{"shallow", shallow, 0},           {"deep", deep, 0},
	{"remembered", remembered, 0},     {"table", table, 0},
	{"table-ahead", table_ahead, 0},   {"few-stacks", few_stacks, 0},
	{"many-stacks", many_stacks, 0},   {"all-stacks", all_stacks, 0},
	{"inner-stacks", inner_stacks, 0}, {"sampled", shallow, 524288},
	{"sampled-table", table, 524288},
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

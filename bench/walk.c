/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * What a stack costs, by depth: the product's walk in the kernel and bpf_get_stack(), at the same
 * returns of one process, which is this one. Needs root. This file is built with frame pointers, so
 * that the kernel has a chain to follow.
 */
#include "base/array.h"
#include "base/file.h"
#include "own_maps.h"
#include "shared/walk_end.h"
#include "walk.skel.h"
#include "walk_times.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BATCHES   41
#define PER_BATCH 1000
#define ROWS      (1u << 20)
#define PAGES     (1u << 17)

static const unsigned int depths[] = {7, 17, 27, 47, 87};

/** Probed. */
__attribute__((noinline)) static int leaf(int number)
{
	__asm__ volatile("nop; nop" : "+r"(number));
	return number;
}

/** Calls leaf() @p rounds times from below @p depth frames of this. */
__attribute__((noinline)) static int descend(unsigned int depth, int rounds)
{
	int sum = 0;

	if (depth)
		sum = descend(depth - 1, rounds);
	else
		for (int i = 0; i < rounds; i++)
			sum += leaf(i);
	__asm__ volatile("" : "+r"(sum));
	return sum;
}

/** Gives the kernel rows for all that is mapped here, as the tracer does. */
static void tell_kernel(struct ml_walk_bpf *skeleton, struct ml_unwind_tables *tables)
{
	ML_FREE_CLEANUP struct ml_process_maps *known = ml_alloc(sizeof(*known));
	uint32_t key = (uint32_t)getpid();

	describe_own_maps(tables, known);
	known->version = 1;
	bpf_map_update_elem(bpf_map__fd(skeleton->maps.processes), &key, known, BPF_ANY);
}

static int compare(const void *left, const void *right)
{
	double a = *(const double *)left, b = *(const double *)right;

	return a < b ? -1 : a > b;
}

/** The medians of the batches, in ns a stack. */
static void measure(int times_fd, unsigned int frames)
{
	double walk[BATCHES], kernel[BATCHES];
	struct walk_times times = {0};
	uint32_t zero = 0;
	unsigned int depth = 0;

	/* How many calls make a stack of so many frames. */
	do {
		descend(depth++, 1);
		bpf_map_lookup_elem(times_fd, &zero, &times);
	} while (times.frames < frames && depth < frames);
	depth--;
	for (size_t i = 0; i < BATCHES; i++) {
		memset(&times, 0, sizeof(times));
		bpf_map_update_elem(times_fd, &zero, &times, BPF_ANY);
		descend(depth, PER_BATCH);
		bpf_map_lookup_elem(times_fd, &zero, &times);
		walk[i] = (double)(times.walk_ns - times.clock_ns) / (double)times.count;
		kernel[i] = (double)(times.kernel_ns - times.clock_ns) / (double)times.count;
	}
	qsort(walk, BATCHES, sizeof(*walk), compare);
	qsort(kernel, BATCHES, sizeof(*kernel), compare);
	printf("| %u | %.0f (%.0f) | %s | %.0f (%.0f) | %u | %.2f |\n", times.frames,
	       walk[BATCHES / 2], walk[0], times.end == ML_WALK_COMPLETE ? "yes" : "no",
	       kernel[BATCHES / 2], kernel[0], times.kernel_frames,
	       kernel[BATCHES / 2] / walk[BATCHES / 2]);
}

/** The byte of this program's file where leaf() is. */
static size_t leaf_offset(void)
{
	uint64_t address = (uint64_t)(uintptr_t)leaf;
	struct ml_maps maps = {0};
	size_t offset = 0;

	if (ml_maps_read(getpid(), &maps))
		exit(1);

	const struct ml_mapping *mapping = ml_maps_find(&maps, address);

	if (mapping)
		offset = address - mapping->start + mapping->offset;
	ml_maps_deinit(&maps);
	return offset;
}

int main(void)
{
	struct ml_walk_bpf *skeleton = ml_walk_bpf__open();
	struct bpf_program *program;
	struct bpf_link *link;

	if (!skeleton)
		return 1;
	bpf_object__for_each_program(program, skeleton->obj)
		bpf_program__set_autoload(program, program == skeleton->progs.time_walk);
	bpf_map__set_max_entries(skeleton->maps.rows, ROWS);
	bpf_map__set_max_entries(skeleton->maps.pages, PAGES);
	if (ml_walk_bpf__load(skeleton))
		return 1;

	struct ml_unwind_tables *tables = ml_unwind_tables_create(
		bpf_map__fd(skeleton->maps.rows), ROWS, bpf_map__fd(skeleton->maps.pages), PAGES);

	tell_kernel(skeleton, tables);
	link = bpf_program__attach_uprobe(skeleton->progs.time_walk, true, getpid(),
					  "/proc/self/exe", leaf_offset());
	if (!link)
		return 1;
	puts("| frames | memleak, ns | complete | `bpf_get_stack`, ns | its frames | ratio |\n"
	     "|---|---|---|---|---|---|");
	for (size_t i = 0; i < sizeof(depths) / sizeof(depths[0]); i++)
		measure(bpf_map__fd(skeleton->maps.times), depths[i]);
	bpf_link__destroy(link);
	ml_unwind_tables_destroy(tables);
	ml_walk_bpf__destroy(skeleton);
	return 0;
}

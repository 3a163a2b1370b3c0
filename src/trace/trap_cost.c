/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/trap_cost.h"

#include "base/clock.h"
#include "base/file.h"
#include "target/maps.h"

#include <fcntl.h>
#include <unistd.h>

#define ROUNDS 500

/* Begins with an instruction the kernel emulates, as the sites that are probed do. */
__attribute__((noinline)) static void probed(void)
{
	asm volatile("nop; nop" ::: "memory");
}

/* The byte of our own file where @function begins. */
static bool offset_of(void (*function)(void), uint64_t *offset)
{
	uint64_t address = (uint64_t)(uintptr_t)function;
	struct ml_maps maps = {0};
	ML_ERROR_CLEANUP struct ml_error *error = ml_maps_read(getpid(), &maps);

	if (error)
		return false;

	const struct ml_mapping *mapping = ml_maps_find(&maps, address);

	if (mapping)
		*offset = address - mapping->start + mapping->offset;
	ml_maps_deinit(&maps);
	return mapping != NULL;
}

static double time_rounds(void)
{
	uint64_t start = ml_clock_ns(CLOCK_THREAD_CPUTIME_ID);

	for (int i = 0; i < ROUNDS; i++)
		probed();
	return (double)(ml_clock_ns(CLOCK_THREAD_CPUTIME_ID) - start) / ROUNDS;
}

struct ml_error *ml_trap_cost_measure(enum ml_link_kind kind, double *cost_ns)
{
	enum ml_link_kind simple = kind == ML_LINK_SESSION ? ML_LINK_MULTI : kind;
	ML_FD_CLEANUP int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	ML_FD_CLEANUP int program = ml_link_trial_program(simple);
	struct ml_links links = {0};
	uint64_t offset, cookie = 0;

	*cost_ns = -1;
	if (file < 0 || program < 0 || !offset_of(probed, &offset))
		return NULL;

	struct ml_probe_set set = {.file_fd = file,
				   .file_name = "/proc/self/exe",
				   .pid = getpid(),
				   .offsets = &offset,
				   .cookies = &cookie,
				   .count = 1};
	struct ml_error *error = ml_links_attach(&links, simple, program, false, &set);

	if (error)
		return error;
	*cost_ns = time_rounds();
	ml_links_close(&links);
	return NULL;
}

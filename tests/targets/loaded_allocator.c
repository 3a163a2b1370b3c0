/* SPDX-License-Identifier: BSD-2-Clause */
/** After "go", loads the library named by its argument, another C library beside its own or one
 * with allocators, and has it allocate at once. */
#include "truth.h"

#include <dlfcn.h>
#include <time.h>

#define BLOCKS 30

static NOINLINE void leak_at_once(void *(*allocate)(size_t))
{
	size_t bytes = 0;

	for (int i = 0; i < BLOCKS; i++) {
		truth_keep(allocate(1100 + (size_t)i));
		bytes += 1100 + (size_t)i;
	}
	truth_site("leak_at_once", 0, bytes, BLOCKS);
}

int main(int argc, char **argv)
{
	struct timespec begin, end;
	void *(*allocate)(size_t);
	void *library;

	truth_ready();
	clock_gettime(CLOCK_MONOTONIC, &begin);
	if (argc < 2 || !strncmp(argv[1], "libc.", 5))
		library = dlmopen(LM_ID_NEWLM, "libc.so.6", RTLD_NOW);
	else
		library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
	if (!library) {
		truth_event("no-library");
		return 1;
	}
	*(void **)&allocate = dlsym(library, "malloc");
	leak_at_once(allocate);
	clock_gettime(CLOCK_MONOTONIC, &end);
	truth_value("milliseconds",
		    (end.tv_sec - begin.tv_sec) * 1000 + (end.tv_nsec - begin.tv_nsec) / 1000000);
	truth_done();
	return 0;
}

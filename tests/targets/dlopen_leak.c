/* SPDX-License-Identifier: BSD-2-Clause */
/** Loads the library named by its argument after "go" and lets it leak. */
#include "truth.h"

#include <dlfcn.h>

int main(int argc, char **argv)
{
	void *library;
	size_t (*leak)(void);
	size_t bytes = 0;

	truth_ready();
	library = dlopen(argc > 1 ? argv[1] : "", RTLD_NOW);
	if (!library) {
		truth_event("no-library");
		return 1;
	}
	*(void **)&leak = dlsym(library, "leak_in_library");
	/* Mappings are learned within moments, not before the next instruction. */
	usleep(300000);
	for (int i = 0; i < 23; i++)
		bytes += leak();
	truth_site("leak_in_library", 0, bytes, 23);
	truth_done();
	return 0;
}

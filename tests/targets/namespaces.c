/* SPDX-License-Identifier: BSD-2-Clause */
/** Has the library of its first argument in a namespace of the loader of its own, with another C
 * library, and lets it leak. */
#include "truth.h"

#include <dlfcn.h>

int main(int argc, char **argv)
{
	void *library = dlmopen(LM_ID_NEWLM, argv[argc - 1], RTLD_NOW);
	size_t (*leak)(void);
	size_t bytes = 0;

	if (!library)
		return 1;
	*(void **)&leak = dlsym(library, "leak_in_library");
	truth_ready();
	for (int i = 0; i < 23; i++)
		bytes += leak();
	truth_site("leak_in_library", 0, bytes, 23);
	truth_done();
	return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * After "go", loads the library named by its first argument and lets it leak at once; with "child"
 * as the second, in a child forked just before.
 */
#include "truth.h"

#include <dlfcn.h>
#include <sys/wait.h>

static NOINLINE int load_and_leak(const char *path)
{
	void *library = dlopen(path, RTLD_NOW);
	size_t (*leak)(void);
	size_t bytes = 0;

	if (!library) {
		truth_event("no-library");
		return 1;
	}
	*(void **)&leak = dlsym(library, "leak_in_library");
	for (int i = 0; i < 23; i++)
		bytes += leak();
	truth_site("leak_in_library", 0, bytes, 23);
	truth_done();
	return 0;
}

int main(int argc, char **argv)
{
	const char *path = argc > 1 ? argv[1] : "";
	int status = 0;

	truth_ready();
	if (argc < 3)
		return load_and_leak(path);
	if (fork() == 0)
		return load_and_leak(path);
	wait(&status);
	return status ? 1 : 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Loads and unloads the library of its first argument as often as the second says, each time at
 * another place, and once its operators are patched, uses them.
 */
#include "truth.h"

#include <dlfcn.h>
#include <link.h>
#include <sys/mman.h>
#include <time.h>

#define CODE_BYTES 64
#define BLOCKS     10
#define BYTES      100

struct operators {
	void *(*make)(size_t size);
	void (*drop)(void *block);
};

/* What the process runs there is no more what the file has. */
static int is_patched(const void *function, const unsigned char *file)
{
	return memcmp(function, file, CODE_BYTES) != 0;
}

static void wait_until_patched(const struct operators *operators, const unsigned char *files[2])
{
	const struct timespec pause = {0, 1000000};

	for (int i = 0; i < 5000; i++) {
		if (is_patched(*(void *const *)&operators->make, files[0]) &&
		    is_patched(*(void *const *)&operators->drop, files[1]))
			return;
		nanosleep(&pause, NULL);
	}
	truth_event("not-patched");
}

static NOINLINE void leak_from_pool(const struct operators *operators)
{
	for (int i = 0; i < BLOCKS; i++) {
		truth_keep(operators->make(BYTES));
		operators->drop(truth_keep(operators->make(BYTES)));
	}
}

static void load(const char *path, void **library, struct operators *operators)
{
	*library = dlopen(path, RTLD_NOW);
	if (!*library)
		_exit(1);
	*(void **)&operators->make = dlsym(*library, "_Znwm");
	*(void **)&operators->drop = dlsym(*library, "_ZdlPvm");
}

int main(int argc, char **argv)
{
	size_t rounds = truth_argument(argc, argv, 2, 1);
	unsigned char make[CODE_BYTES], drop[CODE_BYTES];
	const unsigned char *files[2] = {make, drop};
	struct operators operators;
	void *library;

	load(argv[1], &library, &operators);
	memcpy(make, *(void **)&operators.make, sizeof(make));
	memcpy(drop, *(void **)&operators.drop, sizeof(drop));
	dlclose(library);
	truth_ready();
	for (size_t i = 0; i < rounds; i++) {
		load(argv[1], &library, &operators);
		wait_until_patched(&operators, files);
		leak_from_pool(&operators);

		void *place = (void *)((struct link_map *)library)->l_addr;

		dlclose(library);
		/* Something else comes there. */
		mmap(place, 65536, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	}
	truth_site("leak_from_pool", 0, rounds * BLOCKS * BYTES, rounds * BLOCKS);
	truth_done();
	return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/** Calls the allocator by its imports: kept blocks, and others that are freed again. */
#include "truth.h"

static NOINLINE void keep_some(void)
{
	for (int i = 0; i < 40; i++) {
		void *block = truth_keep(malloc(truth_opaque(100)));

		if (i % 2)
			free(block);
	}
}

static NOINLINE void resize_some(void)
{
	for (int i = 0; i < 10; i++) {
		void *block = truth_keep(malloc(truth_opaque(10)));

		truth_keep(realloc(block, truth_opaque(500)));
	}
}

int main(int argc, char **argv)
{
	/* What the loader has bound before, it need not bind later. */
	if (argc > 1)
		free(realloc(malloc(1), 2));
	truth_ready();
	keep_some();
	resize_some();
	truth_site("keep_some", 0, 2000, 20);
	truth_site("resize_some", 0, 5000, 10);
	truth_done();
	return 0;
}

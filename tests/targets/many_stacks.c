/* SPDX-License-Identifier: BSD-2-Clause */
/** One block of 10 bytes from each of 4096 stacks, twice. */
#include "truth.h"

#define LEVELS 12
#define STACKS (1u << LEVELS)

/* Each bit of @path chooses one of two calls, so that each path is a stack of its own. */
static NOINLINE void *descend(unsigned int path, unsigned int levels)
{
	if (!levels)
		return truth_keep(malloc(truth_opaque(10)));
	if (path & 1)
		return truth_keep(descend(path >> 1, levels - 1));
	return truth_keep(truth_keep(descend(path >> 1, levels - 1)));
}

int main(void)
{
	truth_ready();
	for (unsigned int round = 0; round < 2; round++)
		for (unsigned int path = 0; path < STACKS; path++)
			descend(path, LEVELS);
	truth_site("descend", 0, 20 * STACKS, 2 * STACKS);
	truth_done();
	return 0;
}

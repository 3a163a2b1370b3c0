/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * A block of 24 bytes from each of 2^N stacks (first argument, 18 by default), one in 256 of which
 * stays; of the last of these half grow to 40 bytes.
 */
#include "truth.h"

#define KEPT_OF 256u

/* Each bit of @path chooses one of two calls, so that each path is a stack of its own. */
static NOINLINE void *descend(size_t path, size_t levels, void *old)
{
	if (!levels)
		return truth_keep(old ? realloc(old, truth_opaque(40)) : malloc(truth_opaque(24)));
	if (path & 1)
		return truth_keep(descend(path >> 1, levels - 1, old));
	return truth_keep(truth_keep(descend(path >> 1, levels - 1, old)));
}

int main(int argc, char **argv)
{
	size_t levels = truth_argument(argc, argv, 1, 18), stacks = (size_t)1 << levels, grown = 0;

	truth_ready();
	for (size_t path = 0; path < stacks; path++) {
		void *block = descend(path, levels, NULL);

		if (path % KEPT_OF) {
			free(block);
		} else if (path >= stacks / 2 && path % (2 * KEPT_OF)) {
			descend(path, levels, block);
			grown++;
		}
	}
	truth_site("descend", 0, stacks / KEPT_OF * 24 + grown * 16, stacks / KEPT_OF);
	truth_done();
	return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/** Fills its start-up with 12 big blocks, each from a stack of its own, and then leaks 16 bytes at
 * a time until it is killed. */
#include "truth.h"

static NOINLINE void *start_up(int depth)
{
	void *block = truth_keep(malloc(truth_opaque(100000)));

	return depth ? truth_keep(start_up(depth - 1)) : block;
}

static NOINLINE void leak_little(void)
{
	truth_keep(malloc(truth_opaque(16)));
}

int main(void)
{
	truth_ready();
	start_up(11);
	for (;;) {
		leak_little();
		usleep(10000);
	}
}

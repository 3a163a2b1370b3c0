/* SPDX-License-Identifier: BSD-2-Clause */
/** Allocates and frees without pause until a line comes, then works: leaks 23 blocks of 101 bytes,
 * allocating all the time. With "idle" as argument nothing is done before that line. */
#include "truth.h"

#include <poll.h>

static NOINLINE void leak_when_hot(void)
{
	truth_keep(malloc(truth_opaque(101)));
}

static void heat(size_t rounds)
{
	for (size_t i = 0; i < rounds; i++)
		free(truth_keep(malloc(64 + i % 100)));
}

int main(int argc, char **argv)
{
	struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};

	(void)argv;
	truth_event("ready");
	while (argc < 2 && poll(&input, 1, 0) == 0)
		heat(2000);
	truth_wait();
	for (int i = 0; i < 23; i++) {
		leak_when_hot();
		heat(2000);
	}
	truth_site("leak_when_hot", 0, 23 * 101, 23);
	truth_done();
	return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/** Would lock all of its memory, if it were asked to. */
#include "truth.h"

#include <sys/mman.h>

int main(int argc, char **argv)
{
	(void)argv;
	if (argc > 1 && mlockall(MCL_CURRENT))
		return 1;
	truth_keep(malloc(truth_opaque(100)));
	truth_ready();
	for (int i = 0; i < 1000; i++)
		free(truth_keep(malloc(truth_opaque(50))));
	truth_done();
	return 0;
}

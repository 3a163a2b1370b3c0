/* SPDX-License-Identifier: BSD-2-Clause */
/** Keeps N blocks of 16 bytes (first argument, a million by default). */
#include "truth.h"

static NOINLINE void keep_one_of_many(void)
{
	truth_keep(malloc(truth_opaque(16)));
}

int main(int argc, char **argv)
{
	size_t blocks = truth_argument(argc, argv, 1, 1000000);

	truth_ready();
	for (size_t i = 0; i < blocks; i++)
		keep_one_of_many();
	truth_site("keep_one_of_many", 0, blocks * 16, blocks);
	truth_done();
	return 0;
}

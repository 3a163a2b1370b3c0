/* SPDX-License-Identifier: BSD-2-Clause */
/** Allocates and frees N times (first argument) and keeps one block in a thousand. */
#include "truth.h"

static NOINLINE void *churn_block(size_t bytes)
{
	return truth_keep(malloc(truth_opaque(bytes)));
}

static NOINLINE void *keep_block(size_t bytes)
{
	return truth_keep(malloc(truth_opaque(bytes)));
}

int main(int argc, char **argv)
{
	size_t rounds = truth_argument(argc, argv, 1, 10000000), kept = 0, bytes = 0;

	truth_ready();
	for (size_t i = 0; i < rounds; i++) {
		if (i % 1000 == 0) {
			keep_block(i % 211 + 1);
			kept++;
			bytes += i % 211 + 1;
		} else {
			free(churn_block(i % 101 + 1));
		}
	}
	truth_site("keep_block", 0, bytes, kept);
	truth_site("churn_block", 0, 0, 0);
	truth_value("allocs", (long long)rounds);
	truth_value("frees", (long long)(rounds - kept));
	truth_done();
	return 0;
}

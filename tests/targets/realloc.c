/* SPDX-License-Identifier: BSD-2-Clause */
/** realloc grows, moves, shrinks and frees: the last successful call owns the block. */
#include "truth.h"

#include <sys/resource.h>

static NOINLINE void *first_block(size_t bytes)
{
	return truth_keep(malloc(truth_opaque(bytes)));
}

static NOINLINE void grow(void *block)
{
	for (size_t bytes = 200; bytes <= 1000; bytes += 200)
		block = truth_keep(realloc(block, truth_opaque(bytes)));
}

static NOINLINE void move(void *block)
{
	/* A neighbour keeps it from growing in place. */
	void *neighbour = truth_keep(malloc(64));

	block = truth_keep(realloc(block, truth_opaque(100003)));
	free(neighbour);
}

static NOINLINE void shrink(void *block)
{
	truth_keep(realloc(block, truth_opaque(37)));
}

static NOINLINE void to_zero(void *block)
{
	truth_keep(realloc(block, truth_opaque(0)));
}

/* Small, but there is no memory: the old block stays what it was, and is still there to be freed.
 */
static NOINLINE void *fail(size_t bytes)
{
	void *block = truth_keep(malloc(truth_opaque(bytes)));
	struct rlimit before, none;

	getrlimit(RLIMIT_AS, &before);
	none = (struct rlimit){0, before.rlim_max};
	setrlimit(RLIMIT_AS, &none);
	for (int i = 0; i < 100; i++)
		if (truth_keep(realloc(block, truth_opaque(250000))))
			abort();
	setrlimit(RLIMIT_AS, &before);
	return block;
}

int main(void)
{
	truth_ready();
	grow(first_block(100));
	truth_site("grow", 0, 1000, 1);
	move(first_block(500));
	truth_site("move", 0, 100003, 1);
	shrink(first_block(5000));
	truth_site("shrink", 0, 37, 1);
	to_zero(first_block(700));
	/* glibc: realloc(block, 0) frees. */
	truth_site("to_zero", 0, 0, 0);
	truth_site("first_block", 0, 0, 0);
	fail(900);
	free(fail(901));
	truth_site("fail", 0, 900, 1);
	truth_done();
	return 0;
}

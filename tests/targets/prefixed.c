/* SPDX-License-Identifier: BSD-2-Clause */
/** A program with an allocator of its own under prefixed names: my_malloc, my_free. */
#include "truth.h"

void *my_malloc(size_t bytes);
void my_free(void *block);

static char pool[1 << 16];
static size_t used;

NOINLINE void *my_malloc(size_t bytes)
{
	void *block = pool + used;

	used += (bytes + 15) / 16 * 16;
	return truth_keep(block);
}

NOINLINE void my_free(void *block)
{
	truth_keep(block);
}

static NOINLINE void leak_prefixed(void)
{
	void *block = my_malloc(truth_opaque(97));

	my_free(my_malloc(truth_opaque(211)));
	truth_keep(block);
}

int main(void)
{
	truth_ready();
	for (int i = 0; i < 23; i++)
		leak_prefixed();
	truth_site("leak_prefixed", 0, 23 * 97, 23);
	truth_done();
	return 0;
}

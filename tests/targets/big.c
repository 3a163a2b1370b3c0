/* SPDX-License-Identifier: BSD-2-Clause */
/** Ten blocks of 1 MiB: the allocator maps each one, which is not another allocation. */
#include "truth.h"

static NOINLINE int leak_big(void)
{
	truth_keep(malloc(truth_opaque(1 << 20)));
	return __LINE__ - 1;
}

int main(void)
{
	int line = 0;

	truth_ready();
	for (int i = 0; i < 10; i++)
		line = leak_big();
	truth_site("leak_big", line, (size_t)10 << 20, 10);
	truth_done();
	return 0;
}

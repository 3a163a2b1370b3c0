/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Ends at once, having mapped memory as Go's run time does, by a function of that name, and with no
 * pointer to it.
 */
#include "truth.h"

#include <sys/mman.h>

NOINLINE void x_cgo_mmap(size_t size)
{
	void *volatile memory =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	memory = NULL;
}

int main(void)
{
	x_cgo_mmap(truth_opaque(1 << 20));
	return 0;
}

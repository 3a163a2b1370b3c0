/* SPDX-License-Identifier: BSD-2-Clause */
/* Leaks nine blocks of 100 bytes, frees a tenth, says so and ends. */
#include <stdio.h>
#include <stdlib.h>

void *kept[10];

__attribute__((noinline)) void leak(void)
{
	for (int i = 0; i < 10; i++)
		kept[i] = malloc(100);
	free(kept[9]);
	kept[9] = NULL;
}

int main(void)
{
	leak();
	puts("leaked 900 bytes in 9 blocks");
	return 0;
}

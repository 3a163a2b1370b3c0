/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Live blocks, for measuring the memory a tool takes: for each line read, the next step, then a
 * line.
 *
 *     blocks NUMBER    waits; NUMBER blocks of 16 to 515 bytes; three times as many, one after the
 *                      other, in the place of others
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *place(size_t number)
{
	size_t size = 16 + number * 7919 % 500;
	void *block = malloc(size);

	/* All pages are there, whoever allocates. */
	return block ? memset(block, 1, size) : NULL;
}

static void wait_for_line(void)
{
	puts("ready");
	fflush(stdout);
	if (getchar() == EOF)
		exit(0);
}

int main(int argc, char **argv)
{
	size_t count = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000;
	void **blocks = calloc(count, sizeof(*blocks));

	if (!blocks)
		return 1;
	memset(blocks, 0xff, count * sizeof(*blocks));
	wait_for_line();
	for (size_t i = 0; i < count; i++)
		blocks[i] = place(i);
	wait_for_line();
	for (size_t i = 0; i < 3 * count; i++) {
		size_t which = i * 7919 % count;

		free(blocks[which]);
		blocks[which] = place(count + which);
	}
	wait_for_line();
	return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* A program with allocation functions of its own, linked in several ways. Only looked at. */
#include <stdlib.h>
#include <string.h>

#define KEPT __attribute__((noinline, used))

void *pool_take(size_t size);
void pool_give(void *block);
void *acme_malloc(size_t size);
void acme_free(void *block);

KEPT void *pool_take(size_t size)
{
	void *block = malloc(size + 16);

	return block ? memset(block, 0, size + 16) : NULL;
}

KEPT void pool_give(void *block)
{
	if (block)
		memset(block, 0, 16);
	free(block);
}

KEPT void *acme_malloc(size_t size)
{
	return pool_take(size);
}

KEPT void acme_free(void *block)
{
	pool_give(block);
}

/* A private function of a public name: not the program's allocator. */
static KEPT int mremap(int a, int b)
{
	return a * b;
}

int main(int argc, char **argv)
{
	void *block = calloc((size_t)argc, 23);
	void *other = acme_malloc((size_t)mremap(argc, 101));

	block = realloc(block, 101);
	acme_free(other);
	pool_give(pool_take(23));
	free(block);
	return argv[0] == NULL;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/** A library with an allocator and operators of its own: blocks of a pool that are never reused. */
#include <stddef.h>
#include <string.h>

#define POOL_BYTES (1u << 20)

void *operator_new(size_t size) __asm__("_Znwm");
void *operator_new_nothrow(size_t size, const void *nothrow) __asm__("_ZnwmRKSt9nothrow_t");
void operator_delete(void *block) __asm__("_ZdlPv");
void operator_delete_sized(void *block, size_t size) __asm__("_ZdlPvm");

static char pool[POOL_BYTES];
static size_t used;
static volatile size_t freed;

static __attribute__((noinline)) void *take(size_t size)
{
	void *block = pool + used;

	if (size > POOL_BYTES - used)
		return NULL;
	used += (size + 15) & ~(size_t)15;
	return block;
}

static __attribute__((noinline)) void give(void *block)
{
	freed += block != NULL;
}

void *malloc(size_t size)
{
	return take(size);
}

void *calloc(size_t count, size_t size)
{
	return take(count * size);
}

void *realloc(void *block, size_t size)
{
	void *other = take(size);

	return block && other ? memcpy(other, block, 1) : other;
}

void free(void *block)
{
	give(block);
}

void *operator_new(size_t size)
{
	void *block = take(size);

	if (!block)
		__builtin_trap();
	return block;
}

void *operator_new_nothrow(size_t size, const void *nothrow)
{
	(void)nothrow;
	return take(size);
}

void operator_delete(void *block)
{
	give(block);
}

void operator_delete_sized(void *block, size_t size)
{
	(void)size;
	give(block);
}

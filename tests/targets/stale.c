/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Ends with old pointers to two lost blocks all over the stack that main() has left, and in memory
 * that was freed. With an argument it ends by exit(), deeper, and with the only pointers to two
 * blocks in a variable of main() and in a register that functions keep for their callers: nothing
 * is lost then. A third block is pointed to by a thread-local variable.
 */
#include "truth.h"

#include <stdint.h>

static __thread void *volatile of_thread;

/* Behind these nothing is left in registers or on the stack below. */
static NOINLINE void forget(void)
{
	volatile char stack[16384];

	memset((void *)stack, 0, sizeof(stack));
}

static NOINLINE void litter(void *pointer)
{
	void *volatile stack[2048];

	for (size_t i = 0; i < sizeof(stack) / sizeof(stack[0]); i++)
		stack[i] = pointer;
}

/* The heap's first block, so that what is freed of it lies before all others, and is taken for what
 * is printed. */
static NOINLINE void litter_heap(void)
{
	void **first = malloc(truth_opaque(16000));
	void *lost = malloc(truth_opaque(200));

	for (size_t i = 100; i < 2000; i++) /* the blocks of main() come before */
		first[i] = lost;
	truth_keep(first);
	free(first);
}

/* Nothing but the register has @inverted's pointer. */
static NOINLINE void end_by_exit(uintptr_t inverted)
{
	__asm__ volatile("mov %0, %%r12\n\t"
			 "not %%r12\n\t"
			 "xor %%edi, %%edi\n\t"
			 "and $-16, %%rsp\n\t"
			 "call *%1"
			 :
			 : "r"(inverted), "r"(exit)
			 : "r12", "rdi", "memory");
	__builtin_unreachable();
}

static NOINLINE uintptr_t make_inverted(void)
{
	return ~(uintptr_t)malloc(truth_opaque(300));
}

int main(int argc, char **argv)
{
	void *volatile block;
	uintptr_t inverted;

	if (argc == 1)
		litter_heap();
	of_thread = malloc(truth_opaque(77));
	block = malloc(truth_opaque(100));
	if (argc > 1) {
		inverted = make_inverted();
		forget();
		end_by_exit(inverted);
	}
	puts("ends");
	litter(block);
	return 0;
}

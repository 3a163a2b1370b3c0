/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * What the agent needs of x86-64, with entry.S and the rows of shared/unwind_step.h: another
 * architecture brings these three.
 */
#ifndef ML_AGENT_X86_64_MACHINE_H
#define ML_AGENT_X86_64_MACHINE_H

#include <stddef.h>
#include <stdint.h>

enum {
	SYS_NANOSLEEP = 35,
	SYS_RT_SIGPROCMASK = 14,
	SYS_GETPID = 39,
	SYS_GETTID = 186,
	SYS_FUTEX = 202,
	SYS_CLOCK_GETTIME = 228,
	SYS_TGKILL = 234
};

enum { ESRCH = 3, EAGAIN = 11, EINVAL = 22 };

static inline long system_call(long number, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}

/* The thread pointer; the psABI has its own address in its first word. */
static inline uint64_t thread_pointer(void)
{
	uint64_t pointer;

	__asm__("mov %%fs:0, %0" : "=r"(pointer));
	return pointer;
}

/* Adds to a number that only this thread and its signal handlers write: one instruction. */
static inline void add_local(uint64_t *number, uint64_t n)
{
	__asm__("addq %1, %0" : "+m"(*number) : "er"(n) : "cc");
}

/* Makes *@chosen @choice if @word is 0, without a branch. */
static inline void choose_zero(uint32_t *chosen, uint32_t choice, uint32_t word)
{
	__asm__("test %2, %2; cmove %1, %0" : "+r"(*chosen) : "r"(choice), "r"(word) : "cc");
}

/* What compilers call for copies and clears. */
__attribute__((used)) void *memcpy(void *to, const void *from, size_t size)
{
	void *result = to;

	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
	return result;
}

__attribute__((used)) void *memset(void *to, int value, size_t size)
{
	void *result = to;

	__asm__ volatile("rep stosb" : "+D"(to), "+c"(size) : "a"(value) : "memory");
	return result;
}

#endif

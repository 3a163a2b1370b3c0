/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * A leak that prints its own truth: one JSON line with its name, its size (which no other leak of
 * the program has) and the return addresses that the C library's backtrace() sees, innermost first.
 * frames[0] is in leak_here() itself; what a tracer says must agree from frames[1] on.
 *
 * bench/stacks.py runs the program and compares. Programs begin with leak_ready(), which waits for
 * a line so that tools can attach; nothing here allocates besides.
 */
#ifndef LEAK_H
#define LEAK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <execinfo.h>
#endif

#define LEAK_FIRST_SIZE 100003 /* apart from what libraries ask for */
#define LEAK_DEPTH      160    /* more than any tool keeps */

static int leak_count;

/* Where debuggers stop. */
__attribute__((noinline, used)) static void leak_told(void)
{
	__asm__ volatile("" ::: "memory");
}

__attribute__((noinline)) static void leak_here(const char *name)
{
	static char line[64 + 24 * LEAK_DEPTH];
	void *frames[LEAK_DEPTH];
	int size = LEAK_FIRST_SIZE + 16 * leak_count++, count = 0, length;
	void *block = malloc((size_t)size);

	__asm__ volatile("" : "+r"(block) : : "memory");
#if defined(__GLIBC__) && !defined(NO_TRUTH)
	count = backtrace(frames, LEAK_DEPTH);
#endif
	length = snprintf(line, sizeof(line), "{\"leak\":\"%s\",\"size\":%d,\"frames\":[", name,
			  size);
	for (int i = 0; i < count; i++)
		length += snprintf(line + length, sizeof(line) - (size_t)length, "%s%llu",
				   i ? "," : "", (unsigned long long)(size_t)frames[i]);
	length += snprintf(line + length, sizeof(line) - (size_t)length, "]}\n");
	if (write(STDOUT_FILENO, line, (size_t)length) != length)
		_exit(99);
	leak_told();
}

/* The first call of backtrace() loads libgcc_s. */
__attribute__((noinline)) static void leak_ready(void)
{
	char byte;
#ifdef __GLIBC__
	void *frames[4];

	backtrace(frames, 4);
#endif
	if (write(STDOUT_FILENO, "ready\n", 6) != 6 || read(STDIN_FILENO, &byte, 1) < 0)
		_exit(99);
}

#endif

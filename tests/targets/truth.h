/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * What the target programs share: each prints what it did, one JSON object a line, so that tests
 * compare memleak's figures with the program's own. Nothing here allocates.
 *
 * Protocol: the program prints {"event":"ready"}, waits for a line on stdin, does its work, prints
 * its sites and {"event":"done"}, waits for another line, and exits. End of input counts as a line.
 */
#ifndef TRUTH_H
#define TRUTH_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))

/** Keeps the compiler from dropping an allocation or what surrounds it. */
static inline void *truth_keep(void *pointer)
{
	__asm__ volatile("" : "+r"(pointer) : : "memory");
	return pointer;
}

/** A number the compiler cannot see through. */
static inline size_t truth_opaque(size_t number)
{
	__asm__ volatile("" : "+r"(number));
	return number;
}

static inline __attribute__((format(printf, 1, 2))) void truth_print(const char *format, ...)
{
	char line[512];
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	/* One write a line: several processes may share the output. */
	if (write(STDOUT_FILENO, line, (size_t)length) != length)
		_exit(99);
}

/** @p count blocks of together @p bytes are outstanding from @p function at @p line. */
static inline void truth_site(const char *function, int line, size_t bytes, size_t count)
{
	truth_print("{\"site\":\"%s\",\"line\":%d,\"bytes\":%zu,\"count\":%zu,\"pid\":%d}\n",
		    function, line, bytes, count, (int)getpid());
}

static inline void truth_value(const char *name, long long value)
{
	truth_print("{\"value\":\"%s\",\"is\":%lld,\"pid\":%d}\n", name, value, (int)getpid());
}

static inline void truth_event(const char *event)
{
	truth_print("{\"event\":\"%s\",\"pid\":%d}\n", event, (int)getpid());
}

/** Waits for a line or the end of stdin. */
static inline void truth_wait(void)
{
	char byte;

	while (read(STDIN_FILENO, &byte, 1) == 1 && byte != '\n')
		;
}

static inline void truth_ready(void)
{
	truth_event("ready");
	truth_wait();
}

static inline void truth_done(void)
{
	truth_event("done");
	truth_wait();
}

/** The argument @p index as a number, or @p otherwise. */
static inline size_t truth_argument(int argc, char **argv, int index, size_t otherwise)
{
	return argc > index ? strtoull(argv[index], NULL, 0) : otherwise;
}

#endif

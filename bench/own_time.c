/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Preloaded (bench/short.py): the program named by MEASURED_PROGRAM runs on the core MEASURED_CORE
 * and writes to the file MEASURED_TIME what CPU time it has used when it ends, in nanoseconds. The
 * tools that start it are left alone.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int is_measured(void)
{
	const char *name = getenv("MEASURED_PROGRAM");

	return name && !strcmp(name, program_invocation_short_name);
}

__attribute__((constructor)) static void begin(void)
{
	const char *core = getenv("MEASURED_CORE");
	cpu_set_t cores;

	if (!is_measured() || !core)
		return;
	CPU_ZERO(&cores);
	CPU_SET(atoi(core), &cores);
	sched_setaffinity(0, sizeof(cores), &cores);
}

__attribute__((destructor)) static void end(void)
{
	const char *path = getenv("MEASURED_TIME");
	struct timespec used;
	int fd;

	if (!is_measured() || !path)
		return;
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	dprintf(fd, "%lld\n", used.tv_sec * 1000000000ll + used.tv_nsec);
	close(fd);
}

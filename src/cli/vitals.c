/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/vitals.h"

#include "base/file.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define STAT_LIMIT 4096

bool ml_vitals_parse(const char *text, struct ml_vitals *out)
{
	const char *comm_end = strrchr(text, ')');
	uint64_t user, kernel, pages, code, stack;
	int parent;

	/* Fields 4, 14, 15, 24, 26 and 28 of proc(5); the one behind the comm is field 3. */
	if (!comm_end ||
	    sscanf(comm_end + 1,
		   " %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64
		   " %*d %*d %*d %*d %*d %*d %*u %*u %" SCNu64 " %*u %" SCNu64 " %*u %" SCNu64,
		   &parent, &user, &kernel, &pages, &code, &stack) != 6)
		return false;
	out->parent = parent;
	out->cpu_s = (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK);
	out->resident_bytes = pages * (uint64_t)sysconf(_SC_PAGESIZE);
	out->start_code = code;
	out->start_stack = stack;
	return true;
}

/* The CPU time to the nanosecond, where /proc has ticks of 10 ms. */
static void refine_cpu_time(pid_t pid, struct ml_vitals *out)
{
	struct timespec time;
	clockid_t clock;

	if (!clock_getcpuclockid(pid, &clock) && !clock_gettime(clock, &time))
		out->cpu_s = (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

bool ml_vitals_read(pid_t pid, struct ml_vitals *out)
{
	ML_FREE_CLEANUP char *text = NULL;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	ML_ERROR_CLEANUP struct ml_error *error =
		ml_file_read(AT_FDCWD, path, STAT_LIMIT, &text, NULL);

	if (error || !ml_vitals_parse(text, out))
		return false;
	refine_cpu_time(pid, out);
	return true;
}

bool ml_vitals_is_other_image(const struct ml_vitals *a, const struct ml_vitals *b)
{
	if (a->start_stack <= 1 || b->start_stack <= 1)
		return false;
	return a->start_code != b->start_code || a->start_stack != b->start_stack;
}

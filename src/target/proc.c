/* SPDX-License-Identifier: BSD-2-Clause */
#include "target/proc.h"

#include "base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* include/linux/sched.h; part of the ABI by field 9 of stat ("flags"). */
#define PF_KTHREAD       0x00200000UL

#define STATUS_BYTES_MAX ((size_t)1 << 20)

bool ml_proc_stat_parse(const char *text, struct ml_proc_stat *out)
{
	const char *comm_end = strrchr(text, ')');
	unsigned long flags;
	struct ml_proc_stat stat = {0};

	/* Fields 3, 9, 20 and 22; and 47, which is not there for everybody. */
	if (!comm_end ||
	    sscanf(comm_end + 1,
		   " %c %*d %*d %*d %*d %*d %lu %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %ld %*d "
		   "%lu %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
		   "%*s "
		   "%*s %*s %*s %*s %*s %lu",
		   &stat.state, &flags, &stat.threads, &stat.start_time, &stat.heap_start) < 4)
		return false;
	stat.is_kernel = flags & PF_KTHREAD;
	*out = stat;
	return true;
}

/* What stands behind @p key at the start of a line, or NULL. */
static const char *find_key(const char *text, const char *key)
{
	size_t length = strlen(key);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, key, length))
			return line + length;
	}
	return NULL;
}

long ml_proc_status_number(const char *text, const char *key, int index, long missing)
{
	const char *at = find_key(text, key);
	const char *end = at ? strchrnul(at, '\n') : NULL;
	long value = missing;

	for (int i = 0; at && at < end; i++) {
		char *next;
		long number = strtol(at, &next, 10);

		if (next == at || next > end)
			break;
		if (i == index)
			return number;
		value = number;
		at = next;
	}
	return index < 0 ? value : missing;
}

/* *@text, the caller's, stays NULL when the thread is gone. */
static void read_status(pid_t tid, char **text)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	ml_error_free(ml_file_read(AT_FDCWD, path, STATUS_BYTES_MAX, text, NULL));
}

static long thread_number(pid_t tid, const char *key)
{
	ML_FREE_CLEANUP char *text = NULL;

	read_status(tid, &text);
	return text ? ml_proc_status_number(text, key, 0, 0) : 0;
}

pid_t ml_proc_tgid(pid_t tid)
{
	return (pid_t)thread_number(tid, "Tgid:");
}

pid_t ml_proc_tracer(pid_t tid)
{
	return (pid_t)thread_number(tid, "TracerPid:");
}

bool ml_proc_blocked(pid_t tid, uint64_t *mask)
{
	ML_FREE_CLEANUP char *text = NULL;
	const char *line;

	read_status(tid, &text);
	line = text ? strstr(text, "\nSigBlk:") : NULL;
	if (!line)
		return false;
	*mask = strtoull(line + strlen("\nSigBlk:"), NULL, 16);
	return true;
}

bool ml_proc_stat_read(pid_t tid, struct ml_proc_stat *out)
{
	ML_FREE_CLEANUP char *text = NULL;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/stat", tid);

	ML_ERROR_CLEANUP struct ml_error *error =
		ml_file_read(AT_FDCWD, path, STATUS_BYTES_MAX, &text, NULL);

	return !error && ml_proc_stat_parse(text, out);
}

uint64_t ml_proc_start_ticks(pid_t tid)
{
	struct ml_proc_stat stat;

	return ml_proc_stat_read(tid, &stat) ? stat.start_time : 0;
}

uint64_t ml_proc_now_ticks(void)
{
	struct timespec now = {0};

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)(((double)now.tv_sec + (double)now.tv_nsec / 1e9) *
			  (double)sysconf(_SC_CLK_TCK));
}

bool ml_proc_has_ended(pid_t tid)
{
	struct ml_proc_stat stat;

	return !ml_proc_stat_read(tid, &stat) || strchr("ZXx", stat.state);
}

bool ml_proc_threads(pid_t pid, ml_proc_tids *out)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/task", pid);

	DIR *tasks = opendir(path);

	if (!tasks)
		return false;
	for (const struct dirent *entry; (entry = readdir(tasks));) {
		pid_t tid = (pid_t)strtol(entry->d_name, NULL, 10);

		if (tid > 0)
			*ml_array_push(out) = tid;
	}
	closedir(tasks);
	return true;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "inject/running.h"

#include "base/file.h"
#include "target/proc.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define STAT_BYTES 4096
/* Of more threads than that stopping all takes milliseconds. */
#define THREADS_MAX 300

bool ml_running_is(pid_t pid, pid_t tid)
{
	ML_FREE_CLEANUP char *text = NULL;
	struct ml_proc_stat stat;
	char path[64];

	/* In /proc/TID/stat it would be added up what all threads did. */
	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", pid, tid);
	ml_error_free(ml_file_read(AT_FDCWD, path, STAT_BYTES, &text, NULL));
	return text && ml_proc_stat_parse(text, &stat) && stat.state == 'R';
}

/* Most of them, and so many for each processor as do not come together by chance. */
bool ml_running_is_crowd(pid_t pid)
{
	size_t enough = 4 * (size_t)sysconf(_SC_NPROCESSORS_ONLN), running = 0;
	ml_proc_tids tids = {0};

	ml_proc_threads(pid, &tids);
	if (enough < tids.count / 2)
		enough = tids.count / 2;
	if (enough <= tids.count && tids.count <= THREADS_MAX)
		ml_array_each (tid, &tids)
			running += ml_running_is(pid, *tid);
	ml_array_free(&tids);
	return running >= enough;
}

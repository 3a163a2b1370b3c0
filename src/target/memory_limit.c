/* SPDX-License-Identifier: BSD-2-Clause */
#include "target/memory_limit.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define FILE_MAX (64u << 10)
/* A cgroup without a limit says "max" (v2) or a number near 2^63 (v1). */
#define UNLIMITED (1ULL << 60)

static uint64_t room_of(const struct ml_memory_limit *limit)
{
	if (limit->kind == ML_LIMIT_NONE)
		return UINT64_MAX;
	return limit->limit_bytes > limit->used_bytes ? limit->limit_bytes - limit->used_bytes : 0;
}

static void take_if_nearer(struct ml_memory_limit *out, enum ml_memory_limit_kind kind,
			   uint64_t limit_bytes, uint64_t used_bytes)
{
	struct ml_memory_limit limit = {kind, limit_bytes, used_bytes};

	if (limit_bytes < UNLIMITED && room_of(&limit) < room_of(out))
		*out = limit;
}

/* A file of a cgroup, or NULL. */
static char *read_file(int dir_fd, const char *directory, const char *name)
{
	ML_FREE_CLEANUP char *path = NULL;
	ML_ERROR_CLEANUP struct ml_error *error = NULL;
	char *text = NULL;

	if (asprintf(&path, "%s/%s", directory, name) < 0) {
		path = NULL;
		return NULL;
	}
	error = ml_file_read(dir_fd, path, FILE_MAX, &text, NULL);
	return error ? NULL : text;
}

/* The number that is all of a file; false for "max" and for what cannot be read. */
static bool read_number(int dir_fd, const char *directory, const char *name, uint64_t *out)
{
	ML_FREE_CLEANUP char *text = read_file(dir_fd, directory, name);
	char *end;

	if (!text || text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	*out = strtoull(text, &end, 10);
	return !errno && (*end == '\n' || !*end);
}

/* What the kernel would give back first: files read long ago. Others leave it out of "used" too
 * (Kubernetes' working set). */
static uint64_t read_idle_files(int root_fd, const char *directory, const char *key)
{
	ML_FREE_CLEANUP char *text = read_file(root_fd, directory, "memory.stat");
	size_t length = strlen(key);

	for (const char *at = text; at && *at; at = strchrnul(at, '\n'), at += *at == '\n')
		if (!strncmp(at, key, length) && at[length] == ' ')
			return strtoull(at + length, NULL, 10);
	return 0;
}

/* Files of cgroup v2, then of v1. */
static void look_at_cgroup(int root_fd, const char *directory, struct ml_memory_limit *out)
{
	static const char *const files[][3] = {
		{"memory.max", "memory.current", "inactive_file"},
		{"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"},
	};

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		uint64_t limit, used, idle;

		if (!read_number(root_fd, directory, files[i][0], &limit) ||
		    !read_number(root_fd, directory, files[i][1], &used))
			continue;
		idle = read_idle_files(root_fd, directory, files[i][2]);
		take_if_nearer(out, ML_LIMIT_CGROUP, limit, used > idle ? used - idle : 0);
	}
}

/* Whether @list, "cpu,memory", names the memory controller. */
static bool has_memory(const char *list, size_t length)
{
	static const char name[] = "memory";

	for (size_t at = 0; at < length; at++) {
		size_t word = 0;

		while (at + word < length && list[at + word] != ',')
			word++;
		if (word == sizeof(name) - 1 && !memcmp(list + at, name, word))
			return true;
		at += word;
	}
	return false;
}

/* A path that leads out of what is mounted here is one of another cgroup namespace. */
static bool is_inside(const char *path)
{
	return path[0] == '/' && strcmp(path, "/..") != 0 && strncmp(path, "/../", 4) != 0 &&
	       !strstr(path, "/../");
}

/* @path and those above it, up to the root of what is mounted. */
static void climb(int root_fd, const char *prefix, const char *path, struct ml_memory_limit *out)
{
	ML_FREE_CLEANUP char *directory = NULL;
	size_t floor = strlen(prefix);

	if (!is_inside(path) || asprintf(&directory, "%s%s", prefix, path) < 0) {
		directory = NULL;
		return;
	}
	for (;;) {
		char *slash = strrchr(directory, '/');

		look_at_cgroup(root_fd, directory, out);
		if (!slash || (size_t)(slash - directory) < floor)
			break;
		*slash = 0;
	}
}

void ml_memory_limit_cgroup(int root_fd, const char *cgroups, struct ml_memory_limit *out)
{
	while (*cgroups) {
		const char *end = strchrnul(cgroups, '\n');
		ML_FREE_CLEANUP char *line = strndup(cgroups, (size_t)(end - cgroups));
		char *list = line ? strchr(line, ':') : NULL;
		char *path = list ? strchr(list + 1, ':') : NULL;

		/* HIERARCHY:CONTROLLERS:PATH (cgroups(7)); v2 has no controllers. */
		if (path && list + 1 == path)
			climb(root_fd, ".", path + 1, out);
		else if (path && has_memory(list + 1, (size_t)(path - list - 1)))
			climb(root_fd, "./memory", path + 1, out);
		cgroups = *end ? end + 1 : end;
	}
}

/* The number in kB behind @key in the text of a status file or of meminfo, in bytes. */
static bool find_kib(const char *text, const char *key, uint64_t *out)
{
	size_t length = strlen(key);

	for (; *text; text = strchrnul(text, '\n'), text += *text == '\n') {
		if (strncmp(text, key, length) != 0 || text[length] != ':')
			continue;
		*out = strtoull(text + length + 1, NULL, 10) * 1024;
		return true;
	}
	return false;
}

/* The limit that is counted in @key of the process's status file. */
static void look_at_rlimit(pid_t pid, int resource, enum ml_memory_limit_kind kind,
			   const char *status, const char *key, struct ml_memory_limit *out)
{
	struct rlimit limit;
	uint64_t used;

	if (!prlimit(pid, (__rlimit_resource_t)resource, NULL, &limit) &&
	    limit.rlim_cur != RLIM_INFINITY && find_kib(status, key, &used))
		take_if_nearer(out, kind, limit.rlim_cur, used);
}

/* A file of /proc, or NULL. */
static char *read_proc(const char *path)
{
	ML_ERROR_CLEANUP struct ml_error *error = NULL;
	char *text = NULL;

	error = ml_file_read(AT_FDCWD, path, FILE_MAX, &text, NULL);
	return error ? NULL : text;
}

static void look_at_process(pid_t pid, struct ml_memory_limit *out)
{
	ML_FD_CLEANUP int root_fd = open("/sys/fs/cgroup", O_PATH | O_DIRECTORY | O_CLOEXEC);
	ML_FREE_CLEANUP char *cgroups = NULL;
	ML_FREE_CLEANUP char *status = NULL;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
	cgroups = read_proc(path);
	if (cgroups && root_fd >= 0)
		ml_memory_limit_cgroup(root_fd, cgroups, out);
	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	status = read_proc(path);
	if (!status)
		return;
	look_at_rlimit(pid, RLIMIT_AS, ML_LIMIT_ADDRESS, status, "VmSize", out);
	look_at_rlimit(pid, RLIMIT_DATA, ML_LIMIT_DATA, status, "VmData", out);
}

void ml_memory_limit_address(pid_t pid, struct ml_memory_limit *out)
{
	ML_FREE_CLEANUP char *status = NULL;
	char path[64];

	*out = (struct ml_memory_limit){.kind = ML_LIMIT_NONE};
	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	status = read_proc(path);
	look_at_rlimit(pid, RLIMIT_AS, ML_LIMIT_ADDRESS, status ? status : "", "VmSize", out);
}

void ml_memory_limit_find(pid_t pid, struct ml_memory_limit *out)
{
	ML_FREE_CLEANUP char *machine = read_proc("/proc/meminfo");
	uint64_t total, available;

	*out = (struct ml_memory_limit){.kind = ML_LIMIT_NONE};
	if (pid > 0)
		look_at_process(pid, out);
	if (machine && find_kib(machine, "MemTotal", &total) &&
	    find_kib(machine, "MemAvailable", &available) && available <= total)
		take_if_nearer(out, ML_LIMIT_MACHINE, total, total - available);
}

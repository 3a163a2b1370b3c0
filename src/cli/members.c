/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/members.h"

#include "base/clock.h"
#include "base/file.h"
#include "target/container.h"
#include "target/proc.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CGROUP_LIMIT   (64 * 1024) /* a line per hierarchy, each path up to PATH_MAX */
#define ID_PREFIX_MIN  6           /* hex digits that are enough to mean an id */
#define FULL_ID_LENGTH 64          /* Docker, containerd, CRI-O, Podman: SHA-256 in hex */
#define YOUNG_NS       ML_NS_PER_SECOND
#define NEW_LIMIT      4096 /* pids looked at one by one */

/* A piece of text that is not terminated. */
struct piece {
	const char *start;
	size_t length;
};

static bool is_hex(struct piece piece)
{
	for (size_t i = 0; i < piece.length; i++) {
		if (!isxdigit((unsigned char)piece.start[i]))
			return false;
	}
	return true;
}

static bool drop_start(struct piece *piece, const char *start)
{
	size_t length = strlen(start);

	if (piece->length <= length || memcmp(piece->start, start, length) != 0)
		return false;
	piece->start += length;
	piece->length -= length;
	return true;
}

static bool drop_end(struct piece *piece, const char *end)
{
	size_t length = strlen(end);

	if (piece->length <= length ||
	    memcmp(piece->start + piece->length - length, end, length) != 0)
		return false;
	piece->length -= length;
	return true;
}

static struct piece bare_name(struct piece piece)
{
	static const char *const prefixes[] = {
		"docker-", "cri-containerd-", "crio-",    "libpod-",      "crun-",
		"runc-",   "containerd-",     "nerdctl-", "lxc.payload.", "systemd-nspawn@"};
	const char *colon = memrchr(piece.start, ':', piece.length);

	/* kubepods-podUID.slice:cri-containerd:ID, by runc told of the wrong cgroup driver */
	if (colon) {
		piece.length -= (size_t)(colon + 1 - piece.start);
		piece.start = colon + 1;
	}
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		if (drop_start(&piece, prefixes[i]))
			break;
	}
	if (!drop_end(&piece, ".scope"))
		drop_end(&piece, ".service");
	return piece;
}

static bool piece_matches(struct piece piece, const char *name)
{
	size_t length = strlen(name);
	struct piece bare = bare_name(piece);

	if (piece.length == length && !memcmp(piece.start, name, length))
		return true;
	if (bare.length < length || memcmp(bare.start, name, length))
		return false;
	return bare.length == length ||
	       (length >= ID_PREFIX_MIN && is_hex(bare) && bare.length == FULL_ID_LENGTH);
}

/* @p line is "hierarchy:controllers:/path", cgroups(7). */
static bool line_matches(const char *line, size_t length, const char *name)
{
	const char *end = line + length;
	const char *path = memchr(line, '/', length);

	while (path && path < end) {
		const char *start = path + 1;
		const char *stop = memchr(start, '/', (size_t)(end - start));

		if (!stop)
			stop = end;
		if (piece_matches((struct piece){start, (size_t)(stop - start)}, name))
			return true;
		path = stop;
	}
	return false;
}

bool ml_members_matches(const char *cgroups, const char *name)
{
	while (*cgroups) {
		size_t length = strcspn(cgroups, "\n");

		if (line_matches(cgroups, length, name))
			return true;
		cgroups += length + (cgroups[length] == '\n');
	}
	return false;
}

/* systemd-machined's scopes are called machine-NAME, with \xNN for special characters. */
static bool is_machine(const char *cgroups, const char *name)
{
	ML_FREE_CLEANUP char *container = ml_container_name(cgroups);

	return container && strcmp(container, name) == 0;
}

/* By name, or by one of the ids the runtimes know for it. */
static bool matches_any(const char *cgroups, const struct ml_members *members)
{
	if (ml_members_matches(cgroups, members->name) || is_machine(cgroups, members->name))
		return true;
	ml_array_each (id, &members->ids.list)
		if (ml_members_matches(cgroups, *id))
			return true;
	return false;
}

static bool is_member(int proc_fd, pid_t pid, const struct ml_members *members)
{
	ML_FREE_CLEANUP char *text = NULL;
	char path[64];

	snprintf(path, sizeof(path), "%d/cgroup", (int)pid);
	ML_ERROR_CLEANUP struct ml_error *error =
		ml_file_read(proc_fd, path, CGROUP_LIMIT, &text, NULL);

	return !error && matches_any(text, members);
}

/* The pid given out last in our pid namespace: the end of /proc/loadavg. 0 when it is not known. */
static pid_t newest_pid(void)
{
	ML_FREE_CLEANUP char *text = NULL;
	ML_ERROR_CLEANUP struct ml_error *error =
		ml_file_read(AT_FDCWD, "/proc/loadavg", 256, &text, NULL);
	const char *last = error ? NULL : strrchr(text, ' ');

	return last ? (pid_t)atoi(last + 1) : 0;
}

struct ml_error *ml_members_scan(struct ml_members *members,
				 void (*visit)(void *context, pid_t pid), void *context)
{
	pid_t newest = newest_pid();
	DIR *proc = opendir("/proc");

	if (!proc)
		return ml_error_errno(errno, "cannot list /proc");
	ml_container_ids_deinit(&members->ids);
	ml_container_ids_find("", members->name, &members->ids);
	for (struct dirent *entry; (entry = readdir(proc));) {
		pid_t pid = (pid_t)atoi(entry->d_name);

		if (pid > 0 && pid != getpid() && is_member(dirfd(proc), pid, members))
			visit(context, pid);
	}
	closedir(proc);
	members->newest = newest;
	members->first = newest + 1;
	members->first_ns = ml_monotonic_ns();
	return NULL;
}

void ml_members_scan_new(struct ml_members *members, void (*visit)(void *context, pid_t pid),
			 void *context)
{
	pid_t newest = newest_pid(), first = members->first;
	uint64_t now_ns = ml_monotonic_ns();

	if (now_ns - members->first_ns >= YOUNG_NS) {
		members->first = members->newest + 1;
		members->first_ns = now_ns;
	}
	members->newest = newest;
	/* They begin again at the highest one; and the next scan sees what is left out here. */
	if (newest < first || newest - first > NEW_LIMIT)
		return;

	ML_FD_CLEANUP int proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (pid_t pid = first; proc_fd >= 0 && pid <= newest; pid++) {
		/* Threads have their numbers out of the same row, and folders that are not listed.
		 */
		if (pid != getpid() && is_member(proc_fd, pid, members) && ml_proc_tgid(pid) == pid)
			visit(context, pid);
	}
}

void ml_members_deinit(struct ml_members *members)
{
	ml_container_ids_deinit(&members->ids);
}

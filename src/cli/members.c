/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/members.h"

#include "base/file.h"
#include "cli/container_ids.h"

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

static struct piece bare_name(struct piece piece)
{
	static const char *const prefixes[] = {"docker-", "cri-containerd-", "crio-",
					       "libpod-", "crun-",           "lxc.payload."};
	static const char suffix[] = ".scope";
	size_t cut = sizeof(suffix) - 1;

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		size_t length = strlen(prefixes[i]);

		if (piece.length > length && !memcmp(piece.start, prefixes[i], length)) {
			piece.start += length;
			piece.length -= length;
			break;
		}
	}
	if (piece.length > cut && !memcmp(piece.start + piece.length - cut, suffix, cut))
		piece.length -= cut;
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

/* By name, or by one of the ids the runtimes know for it. */
static bool matches_any(const char *cgroups, const char *name, const struct ml_container_ids *ids)
{
	if (ml_members_matches(cgroups, name))
		return true;
	ml_array_each (id, &ids->list)
		if (ml_members_matches(cgroups, *id))
			return true;
	return false;
}

static bool is_member(int proc_fd, const char *pid, const char *name,
		      const struct ml_container_ids *ids)
{
	ML_FREE_CLEANUP char *text = NULL;
	char path[64];

	snprintf(path, sizeof(path), "%.32s/cgroup", pid);
	ML_ERROR_CLEANUP struct ml_error *error =
		ml_file_read(proc_fd, path, CGROUP_LIMIT, &text, NULL);

	return !error && matches_any(text, name, ids);
}

struct ml_error *ml_members_scan(const char *name, void (*visit)(void *context, pid_t pid),
				 void *context)
{
	DIR *proc = opendir("/proc");
	struct ml_container_ids ids = {0};

	if (!proc)
		return ml_error_errno(errno, "cannot list /proc");
	ml_container_ids_find("", name, &ids);
	for (struct dirent *entry; (entry = readdir(proc));) {
		pid_t pid = (pid_t)atoi(entry->d_name);

		if (pid > 0 && pid != getpid() && is_member(dirfd(proc), entry->d_name, name, &ids))
			visit(context, pid);
	}
	closedir(proc);
	ml_container_ids_deinit(&ids);
	return NULL;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* The files of a process, opened without ever leaving its root or waking a device. */
#include "base/file.h"
#include "base/rooted.h"
#include "base/strbuf.h"
#include "target/process_private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

static char *escaped(const char *path)
{
	struct ml_strbuf text = {0};

	ml_strbuf_escaped(&text, path);
	return ml_strbuf_take(&text);
}

/*
 * Opens for reading what @p path_fd (O_PATH) stands for, if that is a regular file. Looking first
 * matters: merely opening a FIFO or a device can change it.
 */
static struct ml_error *reopen_regular(int path_fd, const char *path, int *fd)
{
	ML_FREE_CLEANUP char *shown = escaped(path);
	char self[32];
	struct stat info;

	if (fstat(path_fd, &info))
		return ml_error_errno(errno, "cannot look at %s", shown);
	if (!S_ISREG(info.st_mode))
		return ml_error_new(ML_ERROR_UNSUPPORTED, "%s is not a regular file", shown);
	snprintf(self, sizeof(self), "/proc/self/fd/%d", path_fd);

	int opened = open(self, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (opened < 0)
		return ml_error_errno(errno, "cannot open %s", shown);
	*fd = opened;
	return NULL;
}

/*
 * A path of a mapping as the process sees it. The kernel prints it from the reader's root, which
 * shows the whole way into a chroot.
 */
static const char *path_in_root(const struct ml_process *process, const char *path)
{
	size_t length = process->root ? strlen(process->root) : 0;

	if (length > 1 && !strncmp(path, process->root, length) && path[length] == '/')
		return path + length;
	return path;
}

struct ml_error *ml_process_open_file(const struct ml_process *process, const char *path, int *fd)
{
	const char *inside = path_in_root(process, path);
	ML_FREE_CLEANUP char *shown = escaped(path);

	if (process->root_fd < 0)
		return ml_process_denied(process);

	ML_FD_CLEANUP int path_fd = ml_rooted_open(process->root_fd, path, O_PATH);

	/* What lies beside a mapped file is called the way the mapping is. */
	if (path_fd < 0 && errno == ENOENT && inside != path)
		path_fd = ml_rooted_open(process->root_fd, inside, O_PATH);
	if (path_fd < 0)
		return ml_error_errno(errno, "cannot open %s in the root of process %d", shown,
				      process->pid);
	return reopen_regular(path_fd, path, fd);
}

/* By the file's mode alone: that of the folders was checked by the kernel. */
static bool is_readable_for(const struct ml_process *process, int fd)
{
	struct stat info;

	if (fstat(fd, &info))
		return false;
	return process->uid == 0 || info.st_mode & S_IROTH ||
	       (info.st_uid == process->uid && info.st_mode & S_IRUSR) ||
	       (info.st_gid == process->gid && info.st_mode & S_IRGRP);
}

struct ml_error *ml_process_open_readable(const struct ml_process *process, const char *path,
					  int *fd)
{
	struct ml_error *error;
	int opened = -1;

	if (process->uid == (uid_t)-1 || process->gid == (gid_t)-1)
		return ml_error_new(ML_ERROR_UNSUPPORTED, "whose process %d is is not known",
				    process->pid);

	/*
	 * With another fsuid than 0 the kernel checks files and folders without root's capabilities
	 * (capabilities(7)). Of this thread only; without privileges both calls change nothing.
	 */
	int own_gid = setfsgid(process->gid), own_uid = setfsuid(process->uid);

	error = ml_process_open_file(process, path, &opened);
	setfsuid((uid_t)own_uid);
	setfsgid((gid_t)own_gid);
	if (error)
		return error;
	/* Our supplementary groups counted, and they are not the process's. */
	if (!is_readable_for(process, opened)) {
		ml_fd_close(&opened);
		return ml_error_new(ML_ERROR_TARGET, "process %d may not read that file",
				    process->pid);
	}
	*fd = opened;
	return NULL;
}

/* Whether the mapping still stands in the maps of now. */
static bool is_still_mapped(const struct ml_process *process, const struct ml_mapping *mapping)
{
	struct ml_maps maps;
	ML_ERROR_CLEANUP struct ml_error *error = ml_process_maps(process, &maps);

	if (error)
		return false;

	const struct ml_mapping *now = ml_maps_find(&maps, mapping->start);
	bool is_same = now && now->inode == mapping->inode && now->device == mapping->device &&
		       now->start == mapping->start && now->end == mapping->end;

	ml_maps_deinit(&maps);
	return is_same;
}

static bool has_inode(int fd, uint64_t inode)
{
	struct stat info;

	return !fstat(fd, &info) && info.st_ino == inode;
}

/* By address. False when this kernel or our rights do not allow it, or the mapping is another. */
static bool open_by_address(const struct ml_process *process, const struct ml_mapping *mapping,
			    int *fd)
{
	char name[64];

	snprintf(name, sizeof(name), "map_files/%" PRIx64 "-%" PRIx64, mapping->start,
		 mapping->end);

	ML_FD_CLEANUP int path_fd = openat(process->proc_fd, name, O_PATH | O_CLOEXEC);

	if (path_fd < 0)
		return false;
	/*
	 * overlayfs may show another inode number here than in maps (always before Linux 6.8, with
	 * xino later); then the map itself tells whether the mapping was replaced meanwhile.
	 */
	if (!has_inode(path_fd, mapping->inode) && !is_still_mapped(process, mapping))
		return false;

	ML_ERROR_CLEANUP struct ml_error *error = reopen_regular(path_fd, mapping->path, fd);

	return !error;
}

struct ml_error *ml_process_open_mapping(const struct ml_process *process,
					 const struct ml_mapping *mapping, int *fd)
{
	ML_FREE_CLEANUP char *shown = escaped(mapping->path);

	if (!mapping->inode)
		return ml_error_new(ML_ERROR_UNSUPPORTED, "%s has no file behind it",
				    *shown ? shown : "anonymous memory");
	if (open_by_address(process, mapping, fd))
		return NULL;
	if (mapping->path[0] != '/')
		return ml_error_new(ML_ERROR_UNSUPPORTED, "%s is no file of a directory tree",
				    shown);

	ML_FD_CLEANUP int opened = -1;
	struct ml_error *error = ml_process_open_file(process, mapping->path, &opened);

	if (error && mapping->is_deleted)
		return ml_error_wrap(error, "deleted file: only root can open it");
	if (error)
		return error;
	if (!has_inode(opened, mapping->inode))
		return ml_error_new(ML_ERROR_TARGET,
				    "%s is another file now than the one process %d has mapped%s",
				    shown, process->pid,
				    geteuid() ? ": root (sudo) can open the mapped one" : "");
	*fd = opened;
	opened = -1;
	return NULL;
}

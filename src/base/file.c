/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/file.h"

#include "base/strbuf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

void ml_fd_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void ml_pointer_free(void *pointer_to_pointer)
{
	void **pointer = pointer_to_pointer;

	free(*pointer);
	*pointer = NULL;
}

struct ml_error *ml_file_read(int dir_fd, const char *path, size_t limit, char **text,
			      size_t *length)
{
	ML_FD_CLEANUP int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return ml_error_errno(errno, "cannot open %s", path);

	ML_STRBUF_CLEANUP struct ml_strbuf buf = {0};
	char chunk[16384];

	for (;;) {
		ssize_t got = read(fd, chunk, sizeof(chunk));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return ml_error_errno(errno, "cannot read %s", path);
		if (got == 0)
			break;
		if (buf.length + (size_t)got > limit)
			return ml_error_new(ML_ERROR_FORMAT, "%s is larger than %zu bytes", path,
					    limit);
		ml_strbuf_add(&buf, chunk, (size_t)got);
	}
	if (length)
		*length = buf.length;
	*text = ml_strbuf_take(&buf);
	return NULL;
}

struct ml_error *ml_file_make_nameless(const char *name, int *fd)
{
	static const char *const folders[] = {"/dev/shm", "/tmp"};
	int made = memfd_create(name, MFD_CLOEXEC);

	for (size_t i = 0; made < 0 && i < sizeof(folders) / sizeof(*folders); i++) {
		char path[64];

		snprintf(path, sizeof(path), "%s/memleak-XXXXXX", folders[i]);
		made = mkostemp(path, O_CLOEXEC);
		if (made >= 0)
			unlink(path);
	}
	if (made < 0)
		return ml_error_errno(errno, "cannot make a file in /dev/shm or /tmp");
	*fd = made;
	return NULL;
}

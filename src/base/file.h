/* SPDX-License-Identifier: BSD-2-Clause */
/** Small files read whole, and descriptors that close themselves. */
#ifndef ML_BASE_FILE_H
#define ML_BASE_FILE_H

#include "base/error.h"

#include <stddef.h>

/** Closes @p fd when it is not negative, and sets it to -1. */
void ml_fd_close(int *fd);
#define ML_FD_CLEANUP __attribute__((cleanup(ml_fd_close)))

/** Frees what a local `char *` or other pointer holds. */
void ml_pointer_free(void *pointer_to_pointer);
#define ML_FREE_CLEANUP __attribute__((cleanup(ml_pointer_free)))

/**
 * Reads @p path (relative to @p dir_fd, AT_FDCWD for the working directory) whole, up to @p limit
 * bytes: a /proc file or a small one. @p text is NUL-terminated, the caller's to free; @p length
 * (may be NULL) is without the NUL. More than @p limit bytes is an error.
 */
struct ml_error *ml_file_read(int dir_fd, const char *path, size_t limit, char **text,
			      size_t *length);

/** Makes an empty file without a name, in memory where the kernel can (Linux 3.17), else in
 * /dev/shm or /tmp. @p name is for whoever looks at our descriptors. */
struct ml_error *ml_file_make_nameless(const char *name, int *fd);

#endif

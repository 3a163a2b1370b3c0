/* SPDX-License-Identifier: BSD-2-Clause */
/** Files below a folder that nothing leads out of. */
#ifndef ML_BASE_ROOTED_H
#define ML_BASE_ROOTED_H

/**
 * Opens @p path as if @p root_fd were the root: absolute links begin there and ".." ends there, as
 * with RESOLVE_IN_ROOT of openat2(), which is used where there is one (Linux 5.6). O_CLOEXEC is
 * implied. Negative, with errno, on failure.
 */
int ml_rooted_open(int root_fd, const char *path, int flags);

/** The same without that call. */
int ml_rooted_walk(int root_fd, const char *path, int flags);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Debug files from debuginfod servers, asked only when the user has named some in DEBUGINFOD_URLS.
 * libdebuginfod is loaded then and only then: memleak runs without it.
 */
#ifndef ML_SYMBOLS_DEBUGINFOD_H
#define ML_SYMBOLS_DEBUGINFOD_H

#include "elf/build_id.h"

struct ml_debuginfod;

/** NULL when the user has named no server or the library is not there. */
struct ml_debuginfod *ml_debuginfod_create(void);

/** NULL is fine. */
void ml_debuginfod_destroy(struct ml_debuginfod *servers);

/**
 * The debug file of @p build_id, from the library's cache or a server: a descriptor (the caller's)
 * or -1. Waits at most 5 seconds in which nothing comes, a minute for a file and two for all,
 * and does not ask again once one of these was too short.
 */
int ml_debuginfod_find(struct ml_debuginfod *servers, const struct ml_build_id *build_id);

#endif

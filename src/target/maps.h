/* SPDX-License-Identifier: BSD-2-Clause */
/** /proc/PID/maps, parsed. */
#ifndef ML_TARGET_MAPS_H
#define ML_TARGET_MAPS_H

#include "base/array.h"
#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/** One line of the file. */
struct ml_mapping {
	uint64_t start;
	uint64_t end;
	uint64_t offset; /**< in the file, bytes */
	uint64_t inode;  /**< 0 for anonymous memory */
	dev_t device;
	bool is_readable, is_writable, is_executable, is_shared;
	bool is_deleted; /**< " (deleted)" was behind the path */
	char *path;      /**< as printed, the escape \012 undone, "" when none; owned */
};

struct ml_maps {
	ML_ARRAY(struct ml_mapping) list; /**< sorted by start, without overlaps */
};

/**
 * Parses the text of a maps file. A line that cannot be understood is an error that quotes it.
 * Linux >= 6.17 reads the file without the mmap lock and may print a mapping that overlaps the one
 * before it; the later line wins and the earlier is cut.
 */
struct ml_error *ml_maps_parse(const char *text, struct ml_maps *out);

/** Reads and parses the maps of @p pid. An empty file (process gone, zombie) is ML_ERROR_TARGET. */
struct ml_error *ml_maps_read(pid_t pid, struct ml_maps *out);

/** The same from @p proc_fd, a descriptor of /proc/PID: never of a later process of that pid. */
struct ml_error *ml_maps_read_at(int proc_fd, pid_t pid, struct ml_maps *out);

/** The mapping that holds @p address, or NULL. */
const struct ml_mapping *ml_maps_find(const struct ml_maps *maps, uint64_t address);

void ml_maps_deinit(struct ml_maps *maps);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/** Names of JIT code that a runtime writes to /tmp/perf-PID.map (node --perf-basic-prof, JVM …). */
#ifndef ML_SYMBOLS_PERF_MAP_H
#define ML_SYMBOLS_PERF_MAP_H

#include "symbols/jit_ranges.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

/** All-zero is empty. */
struct ml_perf_map {
	struct ml_jit_ranges ranges; /**< their names are in the text */
	char *text;                  /**< owned */
	dev_t device;                /**< what was read, to know when it changes */
	ino_t inode;
	off_t size;
	struct timespec changed;
	uint64_t read_ns;  /**< CLOCK_MONOTONIC of the last reading */
	uint64_t spent_ns; /**< what it took */
};

/**
 * Takes @p text over: lines "START SIZE NAME", both hexadecimal. Where entries overlap, the later
 * line wins: the runtime has put new code in the place of old. Lines that make no sense are left
 * out. What @p map held is replaced.
 */
void ml_perf_map_parse(struct ml_perf_map *map, char *text);

/** Reads the map of process @p pid, which calls itself @p inner_pid, again if it has changed. */
void ml_perf_map_refresh(struct ml_perf_map *map, pid_t pid, pid_t inner_pid);

/** The code at @p ip, or NULL. */
const struct ml_jit_range *ml_perf_map_find(const struct ml_perf_map *map, uint64_t ip);

void ml_perf_map_deinit(struct ml_perf_map *map);

#endif

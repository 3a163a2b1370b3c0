/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Names of JIT code that a runtime writes to jit-PID.dump (JVM with the perf agent, node
 * --perf-prof, LLVM), as tools/perf/Documentation/jitdump-specification.txt of Linux describes it.
 *
 * The runtime maps a page of the file executable so that it can be found.
 */
#ifndef ML_SYMBOLS_JITDUMP_H
#define ML_SYMBOLS_JITDUMP_H

#include "base/u64map.h"
#include "symbols/jit_ranges.h"
#include "symbols/string_pool.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/** `{.fd = -1}` is an unread one. */
struct ml_jitdump {
	int fd; /**< of the file, kept: it can be read when the process has ended; -1: not found yet
		 */
	bool is_damaged; /**< a record made no sense: what came before it counts, no more is read */
	uint64_t position; /**< of the first record that was not read yet */
	struct ml_jit_entries entries;
	struct ml_jit_ranges ranges;
	struct ml_string_pool names;
	struct ml_u64map by_index; /**< code_index → name (pointer) */
	uint32_t records;
	uint64_t name_bytes; /**< of all records' names */
	uint64_t read_ns;    /**< CLOCK_MONOTONIC of the last reading */
	uint64_t spent_ns;   /**< what it took */
};

/** Reads the records that were added to the file dump->fd since the last time. */
void ml_jitdump_read(struct ml_jitdump *dump);

/** Looks for the file of process @p pid and reads what is new; from time to time only. */
void ml_jitdump_refresh(struct ml_jitdump *dump, pid_t pid);

/** Whether @p path is called like one: jit-DIGITS.dump. */
bool ml_jitdump_is_name(const char *path);

/** Closes the file, too. */
void ml_jitdump_deinit(struct ml_jitdump *dump);

#endif

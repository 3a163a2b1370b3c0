/* SPDX-License-Identifier: BSD-2-Clause */
/** What /proc/PID/stat says that a session needs: parent, CPU time (more exactly than there),
 * memory, which image runs. */
#ifndef ML_CLI_VITALS_H
#define ML_CLI_VITALS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct ml_vitals {
	pid_t parent;
	double cpu_s;            /**< user and system, all threads that ever were */
	uint64_t resident_bytes; /**< RSS; 0 of a zombie */
	/** Start of code and of the stack: both are placed anew (ASLR) by each exec, so another
	 * value is another image, even of the same file. 0 or 1 when unknown. */
	uint64_t start_code, start_stack;
};

/** False when the process is gone. A zombie can still be read. */
bool ml_vitals_read(pid_t pid, struct ml_vitals *out);

/** The same from the file's text; comm may hold blanks, brackets and newlines. */
bool ml_vitals_parse(const char *text, struct ml_vitals *out);

/** True when both know their image and it is not the same. */
bool ml_vitals_is_other_image(const struct ml_vitals *a, const struct ml_vitals *b);

#endif

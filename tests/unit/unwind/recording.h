/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * A stack as it was in a running program, small enough to keep: registers, the words and the rows
 * that a walk looked at, and the frames it must give. As text, one item a line
 * (tests/golden/README.md).
 */
#ifndef ML_TEST_RECORDING_H
#define ML_TEST_RECORDING_H

#include "base/array.h"
#include "unwind/walk.h"

#define RECORDING_FRAMES  128
#define RECORDING_MODULES 64

struct recording_word {
	uint64_t address;
	uint64_t value;
};

/** What of a module's table was looked at. */
struct recording_module {
	uint64_t start, end, bias, base;
	ML_ARRAY(struct ml_unwind_row) rows; /**< sorted */
};

/** All-zero is empty. */
struct recording {
	char name[64];
	struct ml_walk_start start;
	ML_ARRAY(struct recording_word) words;
	struct recording_module modules[RECORDING_MODULES];
	size_t module_count;
	uint64_t frames[RECORDING_FRAMES];
	size_t frame_count;
	enum ml_walk_end end;
};

/** Adds what a walk over @p modules looked up for its @p frames. */
void recording_add_walk(struct recording *recording, const struct ml_walk_module *modules,
			size_t module_count, const uint64_t *frames, size_t frame_count,
			enum ml_walk_end end);

/** The ML_CFA_* of all rows, as bits. */
uint32_t recording_rules(const struct recording *recording);

/** False when the file cannot be written. */
bool recording_write(const struct recording *recording, const char *path);

/** False when the file cannot be read or has a line of another kind. */
bool recording_read(const char *path, struct recording *out);

/** Walks again, over the recording alone. */
size_t recording_walk(const struct recording *recording, uint64_t *frames, size_t limit,
		      enum ml_walk_end *end);

void recording_deinit(struct recording *recording);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/** Writes what does not change from moment to moment, once: texts, modules, frames, stacks. */
#ifndef ML_RECORD_NAMES_WRITER_H
#define ML_RECORD_NAMES_WRITER_H

#include "base/intern.h"
#include "base/u64map.h"
#include "record/items.h"
#include "report/frames.h"

/** What was written of the stack of a site. */
struct ml_written_stack {
	uint32_t checksum; /**< of the item; 0 = none was written */
	bool is_settled;   /**< every frame has a name that cannot change any more */
};

struct ml_names_writer {
	struct ml_items *items; /**< borrowed */
	struct ml_intern strings, modules, locations;
	struct ml_u64map keys;  /**< name of an interpreted function (pointer) → its number */
	struct ml_u64map comms; /**< pid → number of its name, as written */
	ML_ARRAY(struct ml_written_stack) stacks; /**< by number of the site */
};

/** The number of @p text, written when it is new; 0 for NULL. */
uint64_t ml_names_writer_string(struct ml_names_writer *writer, const char *text);

/** Writes the stack of site number @p site unless the one written is still right. */
void ml_names_writer_stack(struct ml_names_writer *writer, struct ml_frame_namer *namer,
			   const struct ml_stack *stack, size_t site);

/** Writes that process @p pid is called @p comm, when that is news. */
void ml_names_writer_process(struct ml_names_writer *writer, pid_t pid, const char *comm);

void ml_names_writer_deinit(struct ml_names_writer *writer);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/** The other side of names_writer.h: texts, modules, frames and stacks of a recording. */
#ifndef ML_RECORD_NAMES_READER_H
#define ML_RECORD_NAMES_READER_H

#include "base/cursor.h"
#include "base/u64map.h"
#include "record/budget.h"
#include "record/format.h"
#include "report/report.h"

struct ml_read_module {
	const char *name, *path, *build_id; /**< of the strings; may be NULL */
};

/** One address of stacks: the frames it is shown as are `count` of names_reader's from `first`. */
struct ml_read_location {
	struct ml_stack_frame frame;
	size_t first, count;
};

struct ml_read_stack {
	struct ml_stack stack; /**< frames owned; count 0 = none was recorded */
	uint32_t *locations;   /**< one for each frame; owned */
	size_t skip;           /**< frames of the allocator in front */
	size_t shown;          /**< frames it is shown as */
};

struct ml_names_reader {
	struct ml_record_budget *limits; /**< borrowed */
	ML_ARRAY(char *) strings;        /**< number - 1; owned */
	ML_ARRAY(struct ml_read_module) modules;
	ML_ARRAY(struct ml_read_location) locations;
	ML_ARRAY(struct ml_report_frame) frames;
	ML_ARRAY(struct ml_read_stack) stacks; /**< by number of the site */
	struct ml_u64map numbers;              /**< stack id → number of the site */
	struct ml_u64map comms;                /**< pid → a string */
};

/**
 * Reads the item of kind @p kind at @p item. @p item fails when it makes no sense; false when the
 * limit is passed. Kinds that are not about names are for others.
 */
bool ml_names_reader_take(struct ml_names_reader *reader, enum ml_item kind,
			  struct ml_cursor *item);

/** The string whose number comes next in @p item; NULL for 0. */
const char *ml_names_reader_string(const struct ml_names_reader *reader, struct ml_cursor *item);

/** A new site whose stack has the id @p id; it has no stack yet. */
bool ml_names_reader_add_site(struct ml_names_reader *reader, uint64_t id);

/** The stack whose id is @p id; NULL when there is no such site or its stack was not recorded. */
const struct ml_read_stack *ml_names_reader_stack(const struct ml_names_reader *reader,
						  uint64_t id);

/** Adds the frames that @p stack is shown as to @p site. */
void ml_names_reader_name(const struct ml_names_reader *reader, const struct ml_read_stack *stack,
			  struct ml_report_site *site);

void ml_names_reader_deinit(struct ml_names_reader *reader);

#endif

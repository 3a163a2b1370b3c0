/* SPDX-License-Identifier: BSD-2-Clause */
#include "symbols/dwarf_scopes.h"

#include "base/clock.h"
#include "symbols/split_ranges.h"

#include <dwarf.h>
#include <stdlib.h>
#include <string.h>

#define NESTING_MAX      256
#define SCOPES_MAX       (1U << 20)
#define RANGES_MAX       (4U << 20)
#define RANGES_A_DIE_MAX 4096
#define WORK_MAX_NS      (2 * ML_NS_PER_SECOND)
#define DIES_A_CHECK     256
#define NO_SCOPE         UINT32_MAX
#define NO_RANGE         UINT32_MAX
/* Ranges around an address that are looked at: damaged ones may be nested without end. */
#define OUTER_MAX 4096

/** A DIE whose siblings are still to be read. */
struct level {
	Dwarf_Die die;
	uint32_t enclosing; /**< scope that the die is in, NO_SCOPE for none */
	uint32_t opened;    /**< scope that the die itself is, NO_SCOPE for none */
};

struct reader {
	struct ml_dwarf_scopes *out;
	const struct ml_split_ranges *split; /**< NULL: libdw knows the ranges */
	/** Functions inside functions (methods of local classes): their code is not inside that of
	 * the outer one, so each is read on its own later. */
	ML_ARRAY(Dwarf_Off) postponed;
	uint64_t deadline_ns;
	uint32_t die_count;
	bool is_over;
	struct level levels[NESTING_MAX];
	struct ml_dwarf_range ranges[RANGES_A_DIE_MAX]; /**< of one DIE */
};

uint64_t ml_dwarf_work_ns(void)
{
	return ml_clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

static bool is_late(struct reader *reader)
{
	if (ml_dwarf_work_ns() > reader->deadline_ns)
		reader->is_over = true;
	return reader->is_over;
}

static bool is_over(struct reader *reader)
{
	return ++reader->die_count % DIES_A_CHECK == 0 ? is_late(reader) : reader->is_over;
}

static bool may_hold_code(int tag)
{
	switch (tag) {
	case DW_TAG_namespace:
	case DW_TAG_module:
	case DW_TAG_class_type:
	case DW_TAG_structure_type:
	case DW_TAG_union_type:
	case DW_TAG_subprogram:
	case DW_TAG_inlined_subroutine:
	case DW_TAG_lexical_block:
	case DW_TAG_try_block:
	case DW_TAG_catch_block:
	case DW_TAG_with_stmt:
		return true;
	default:
		return false;
	}
}

/* The ranges of @p die into reader->ranges; their number. */
static size_t read_ranges(struct reader *reader, Dwarf_Die *die)
{
	Dwarf_Addr base, low, high;
	ptrdiff_t offset = 0;
	size_t count = 0;

	if (reader->split)
		return ml_split_ranges_read(reader->split, die, reader->ranges, RANGES_A_DIE_MAX);
	while (count < RANGES_A_DIE_MAX &&
	       (offset = dwarf_ranges(die, offset, &base, &low, &high)) > 0)
		reader->ranges[count++] = (struct ml_dwarf_range){.low = low, .high = high};
	return count;
}

/* Adds the ranges of @p die as those of scope @p scope; their number. Address 0 marks code that the
 * linker dropped. */
static uint32_t add_ranges(struct reader *reader, Dwarf_Die *die, uint32_t scope)
{
	struct ml_dwarf_scopes *out = reader->out;
	size_t read = read_ranges(reader, die);
	uint32_t count = 0;

	for (size_t i = 0; i < read && out->ranges.count < RANGES_MAX; i++) {
		const struct ml_dwarf_range *range = &reader->ranges[i];

		if (range->low == 0 || range->low >= range->high)
			continue;
		*ml_array_push(&out->ranges) = (struct ml_dwarf_scope_range){
			.low = range->low,
			.high = range->high,
			.scope = scope,
			.outer = NO_RANGE,
		};
		count++;
	}
	return count;
}

/* Makes a scope of @p die when it has code; its index, or NO_SCOPE. */
static uint32_t open_scope(struct reader *reader, Dwarf_Die *die, bool is_inlined)
{
	struct ml_dwarf_scopes *out = reader->out;
	uint32_t index = (uint32_t)out->list.count;

	if (index >= SCOPES_MAX) {
		reader->is_over = true;
		return NO_SCOPE;
	}
	if (add_ranges(reader, die, index) == 0)
		return NO_SCOPE;
	*ml_array_push(&out->list) = (struct ml_dwarf_scope){
		.die = dwarf_dieoffset(die),
		.next = index + 1,
		.is_inlined = is_inlined,
	};
	return index;
}

/* Looks at the DIE of @p level; true when its children are worth reading. */
static bool enter(struct reader *reader, struct level *level)
{
	int tag = dwarf_tag(&level->die);

	level->opened = NO_SCOPE;
	if (!may_hold_code(tag))
		return false;
	if (tag == DW_TAG_subprogram && level->enclosing != NO_SCOPE) {
		if (reader->postponed.count < SCOPES_MAX)
			*ml_array_push(&reader->postponed) = dwarf_dieoffset(&level->die);
		return false;
	}
	if (tag == DW_TAG_subprogram || tag == DW_TAG_inlined_subroutine)
		level->opened = open_scope(reader, &level->die, tag != DW_TAG_subprogram);
	return true;
}

static void leave(struct reader *reader, const struct level *level)
{
	if (level->opened != NO_SCOPE)
		reader->out->list.items[level->opened].next = (uint32_t)reader->out->list.count;
}

/* Goes to the next DIE that @p depth or a level above it has; the new depth, -1 at the end. Level
 * 0 is the root, whose siblings are not ours. Where DW_AT_sibling is missing, libdw reads all that
 * is inside a DIE to find the next one: on the way up that may be the whole unit, again and
 * again. */
static int advance(struct reader *reader, int depth)
{
	for (int from = depth; depth >= 0; depth--) {
		struct level *level = &reader->levels[depth];

		leave(reader, level);
		if (depth < from && is_late(reader))
			return -1;
		if (depth > 0 && dwarf_siblingof(&level->die, &level->die) == 0)
			return depth;
	}
	return -1;
}

static void read_tree(struct reader *reader, const Dwarf_Die *root, bool is_unit)
{
	int depth = 0;

	reader->levels[0] = (struct level){
		.die = *root,
		.enclosing = NO_SCOPE,
		.opened = NO_SCOPE,
	};
	while (depth >= 0 && !is_over(reader)) {
		struct level *level = &reader->levels[depth];
		bool goes_in = (is_unit && depth == 0) || enter(reader, level);

		if (goes_in && depth + 1 < NESTING_MAX) {
			struct level *inner = &reader->levels[depth + 1];

			memset(inner, 0, sizeof(*inner));
			if (dwarf_child(&level->die, &inner->die) == 0) {
				inner->enclosing = level->opened != NO_SCOPE ? level->opened
									     : level->enclosing;
				depth++;
				continue;
			}
		}
		depth = advance(reader, depth);
	}
}

/* Outer ranges before inner ones. */
static int compare_ranges(const void *left, const void *right)
{
	const struct ml_dwarf_scope_range *a = left, *b = right;

	if (a->low != b->low)
		return a->low < b->low ? -1 : 1;
	if (a->high != b->high)
		return a->high > b->high ? -1 : 1;
	return (a->scope > b->scope) - (a->scope < b->scope);
}

static void add_segment(struct ml_dwarf_scopes *scopes, uint64_t low, uint32_t range)
{
	size_t count = scopes->segments.count;
	struct ml_dwarf_segment *segment;

	if (count > 0 && scopes->segments.items[count - 1].low == low)
		segment = &scopes->segments.items[count - 1];
	else
		segment = ml_array_push(&scopes->segments);
	*segment = (struct ml_dwarf_segment){.low = low, .range = range};
}

/* Goes from @p range outwards over those that end at or before @p address; behind each, what is
 * around it goes on. */
static uint32_t leave_ranges(struct ml_dwarf_scopes *scopes, uint32_t range, uint64_t address)
{
	const struct ml_dwarf_scope_range *ranges = scopes->ranges.items;

	while (range != NO_RANGE && ranges[range].high <= address) {
		uint64_t end = ranges[range].high;

		while (range != NO_RANGE && ranges[range].high <= end)
			range = ranges[range].outer;
		add_segment(scopes, end, range);
	}
	return range;
}

/* Nested ranges into segments. Where damaged ones overlap, the one that begins last counts. */
static void build_segments(struct ml_dwarf_scopes *scopes)
{
	struct ml_dwarf_scope_range *ranges = scopes->ranges.items;
	uint32_t open = NO_RANGE;

	if (scopes->ranges.count == 0)
		return;
	qsort(ranges, scopes->ranges.count, sizeof(*ranges), compare_ranges);
	for (uint32_t i = 0; i < scopes->ranges.count; i++) {
		open = leave_ranges(scopes, open, ranges[i].low);
		ranges[i].outer = open;
		open = i;
		add_segment(scopes, ranges[i].low, i);
	}
	leave_ranges(scopes, open, UINT64_MAX);
}

void ml_dwarf_scopes_read(Dwarf *dwarf, Dwarf_Die *unit, const struct ml_split_ranges *split,
			  struct ml_dwarf_scopes *out)
{
	struct reader *reader = ml_alloc(sizeof(*reader));

	reader->out = out;
	reader->split = split;
	reader->deadline_ns = ml_dwarf_work_ns() + WORK_MAX_NS;
	read_tree(reader, unit, true);
	for (size_t i = 0; i < reader->postponed.count && !reader->is_over; i++) {
		Dwarf_Die die;

		if (dwarf_offdie(dwarf, reader->postponed.items[i], &die))
			read_tree(reader, &die, false);
	}
	ml_array_free(&reader->postponed);
	free(reader);
	build_segments(out);
}

/* The innermost range that holds @p address. */
static uint32_t find_range(const struct ml_dwarf_scopes *scopes, uint64_t address)
{
	const struct ml_dwarf_segment *segments = scopes->segments.items;
	size_t low = ml_sorted_up_to(segments, scopes->segments.count, low, address);

	return low > 0 ? segments[low - 1].range : NO_RANGE;
}

/* Identical functions share their code (--icf), so that one is around another without holding it.
 */
static bool is_around(const struct ml_dwarf_scopes *scopes, uint32_t outer, uint32_t inner)
{
	return outer < inner && inner < scopes->list.items[outer].next;
}

unsigned int ml_dwarf_scopes_find(const struct ml_dwarf_scopes *scopes, uint64_t address,
				  struct ml_dwarf_scope_at chain[ML_DWARF_DEPTH_MAX])
{
	unsigned int depth = 0, looked_at = 0;
	uint32_t at = find_range(scopes, address), inner = NO_SCOPE;

	while (at != NO_RANGE && depth < ML_DWARF_DEPTH_MAX && looked_at++ < OUTER_MAX) {
		const struct ml_dwarf_scope_range *range = &scopes->ranges.items[at];
		const struct ml_dwarf_scope *scope = &scopes->list.items[range->scope];

		at = range->outer;
		if (inner != NO_SCOPE && !is_around(scopes, range->scope, inner))
			continue;
		inner = range->scope;
		chain[depth++] = (struct ml_dwarf_scope_at){
			.die = scope->die,
			.start = range->low,
			.is_inlined = scope->is_inlined,
		};
	}
	return depth;
}

void ml_dwarf_scopes_deinit(struct ml_dwarf_scopes *scopes)
{
	ml_array_free(&scopes->list);
	ml_array_free(&scopes->ranges);
	ml_array_free(&scopes->segments);
}

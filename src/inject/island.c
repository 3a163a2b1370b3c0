/* SPDX-License-Identifier: BSD-2-Clause */
/** Islands: pages of stubs within a jump's reach of what is patched. */
#include "inject/injection_private.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LOWEST_ADDRESS 0x10000ull
#define GAP            0x10000ull
#define PLACES         64
/* What is left for the stack to grow. */
#define STACK_ROOM 0x4000000ull

struct places {
	uint64_t near; /* what they must be in reach of */
	uint64_t list[PLACES];
	size_t count;
};

static void add_place(struct places *places, uint64_t address)
{
	if (places->count < PLACES && ml_is_in_reach(address, places->near))
		places->list[places->count++] = address;
}

/* The ends of a gap, but for those that the stack or the heap grows into. */
static void add_gap(struct places *places, const struct ml_mapping *before, uint64_t low,
		    const struct ml_mapping *after)
{
	bool is_stack = !strncmp(after->path, "[stack", 6);
	bool is_heap = before && !strcmp(before->path, "[heap]");
	uint64_t room = ML_ISLAND_BYTES + 2 * GAP + (is_stack ? STACK_ROOM : 0);

	if (after->start < low || after->start - low < room)
		return;
	if (!is_heap)
		add_place(places, low + GAP);
	if (!is_stack)
		add_place(places, after->start - ML_ISLAND_BYTES - GAP);
}

/* The free places in reach of @address, those next to other mappings. What was mapped since then is
 * found when it is tried. */
static void find_places(const struct ml_maps *maps, uint64_t address, struct places *places)
{
	const struct ml_mapping *before = NULL;
	uint64_t low = LOWEST_ADDRESS;

	*places = (struct places){.near = address};
	ml_array_each (mapping, &maps->list) {
		add_gap(places, before, low, mapping);
		low = mapping->end > low ? mapping->end : low;
		before = mapping;
	}
}

static struct ml_error *sign(struct ml_step *step, const struct ml_agent_header *header,
			     uint64_t address)
{
	struct ml_island_header island = {
		.magic = ML_ISLAND_MAGIC,
		.address = address,
		.returned = header->returned,
		.image = header->image,
	};

	if (!ml_stop_write(&step->stop, address, &island, sizeof(island)))
		return ml_error_errno(errno, "cannot write code into process %d", step->pid);
	return NULL;
}

static struct ml_error *map_island(struct ml_step *step, struct ml_agent_header *header,
				   uint64_t near)
{
	uint32_t count = ml_agent_islands(header);
	struct places places;
	uint64_t got = 0;

	find_places(step->maps, near, &places);

	if (count == ML_AGENT_ISLANDS)
		return ml_error_new(ML_ERROR_UNSUPPORTED, "too many modules allocate in process %d",
				    step->pid);
	for (size_t i = places.count; i-- > 0;) {
		const struct ml_code_place place = {
			.address = places.list[i],
			.size = ML_ISLAND_BYTES,
			.flags = MAP_FIXED_NOREPLACE,
			.scratch = header->pointer + offsetof(struct ml_agent_data, scratch)};
		struct ml_error *error = ml_code_map(step, &place, &got);

		if (error && ml_error_kind(error) == ML_ERROR_UNSUPPORTED)
			return error;
		if (error) {
			ml_error_free(error);
			continue;
		}
		if (got == places.list[i]) {
			header->islands[count] = (struct ml_agent_range){got, ML_ISLAND_BYTES};
			header->island_count = count + 1;
			return sign(step, header, got);
		}
		/* Linux < 4.17 takes the address for a hint. */
		ml_step_munmap(step, got, ML_ISLAND_BYTES);
	}
	return ml_error_new(ML_ERROR_UNSUPPORTED,
			    "no room for code near the allocation functions of process %d",
			    step->pid);
}

struct ml_error *ml_islands_map(struct ml_step *step, struct ml_agent_header *header,
				const uint32_t used[ML_AGENT_ISLANDS],
				const struct ml_injection_function *functions, size_t count)
{
	uint32_t taken[ML_AGENT_ISLANDS];

	memcpy(taken, used, sizeof(taken));
	for (size_t i = 0; i < count; i++) {
		bool is_near = functions[i].is_by_imports;
		uint32_t islands = ml_agent_islands(header);

		for (uint32_t k = 0; k < islands && !is_near; k++) {
			is_near = taken[k] < ML_ISLAND_SLOTS &&
				  ml_is_in_reach(header->islands[k].start, functions[i].address);
			taken[k] += is_near;
		}
		if (is_near)
			continue;

		struct ml_error *error = map_island(step, header, functions[i].address);

		/* Out of reach it may be watched by its imports, from any other. */
		if (error && islands) {
			ml_error_free(error);
			continue;
		}
		if (error)
			return error;
		taken[islands]++;
	}
	return NULL;
}

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

/* The free places of an island's size in reach of @address, those next to other mappings: not where
 * a stack or the heap grows to. */
static size_t places_near(const struct ml_process *process, uint64_t address,
			  uint64_t places[PLACES])
{
	struct ml_maps maps = {0};
	ML_ERROR_CLEANUP struct ml_error *error = ml_process_maps(process, &maps);
	uint64_t low = LOWEST_ADDRESS;
	size_t count = 0;

	if (error)
		return 0;
	ml_array_each (mapping, &maps.list) {
		uint64_t room = ML_ISLAND_BYTES + 2 * GAP;

		if (mapping->start > low && mapping->start - low > room && count < PLACES &&
		    strncmp(mapping->path, "[stack", 6) != 0) {
			uint64_t place = mapping->start - ML_ISLAND_BYTES - GAP;

			if (ml_is_in_reach(place, address))
				places[count++] = place;
		}
		low = mapping->end > low ? mapping->end : low;
	}
	ml_maps_deinit(&maps);
	return count;
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
	uint64_t places[PLACES], got = 0;
	size_t count = places_near(step->process, near, places);

	if (header->island_count >= ML_AGENT_ISLANDS)
		return ml_error_new(ML_ERROR_UNSUPPORTED, "too many modules allocate in process %d",
				    step->pid);
	while (count--) {
		ML_ERROR_CLEANUP struct ml_error *error =
			ml_step_mmap(step, places[count], ML_ISLAND_BYTES, PROT_READ | PROT_EXEC,
				     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, &got);

		if (error)
			continue;
		if (got == places[count]) {
			header->islands[header->island_count++] =
				(struct ml_agent_range){got, ML_ISLAND_BYTES};
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
		bool is_near = false;

		for (uint32_t k = 0; k < header->island_count && !is_near; k++) {
			is_near = taken[k] < ML_ISLAND_SLOTS &&
				  ml_is_in_reach(header->islands[k].start, functions[i].address);
			taken[k] += is_near;
		}
		if (is_near)
			continue;

		struct ml_error *error = map_island(step, header, functions[i].address);

		if (error)
			return error;
		taken[header->island_count - 1]++;
	}
	return NULL;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/** What others left in a process. */
#include "base/file.h"
#include "inject/agent_image.h"
#include "inject/injection_private.h"

#include <errno.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define BEATS_MS 500

/* Executable memory of a JIT can be large; islands and the image are a few pages. */
#define SCANNED_BYTES (1u << 20)

static bool read_beat(const struct ml_process *process, const struct ml_agent_header *header,
		      uint64_t *beat)
{
	return ml_process_read(process, header->address + offsetof(struct ml_agent_memory, now_ns),
			       beat, sizeof(*beat));
}

/* The tool that made the memory holds a lock on it, which goes with the tool however that ends. Who
 * may not open it (not root) must go by the heartbeat. */
static bool is_held(const struct ml_process *process, const struct ml_mapping *mapping)
{
	ML_FD_CLEANUP int fd = -1;
	ML_ERROR_CLEANUP struct ml_error *error = ml_process_open_mapping(process, mapping, &fd);

	return !error && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

static bool beats(const struct ml_process *process, const struct ml_agent_header *header)
{
	uint64_t before = 0, now;

	if (!read_beat(process, header, &before))
		return false;
	now = before;
	for (int i = 0; i < BEATS_MS / 10 && now == before; i++) {
		usleep(10000);
		if (!read_beat(process, header, &now))
			return false;
	}
	return now != before;
}

/* In this order: what a killed tool had begun may hold the lock a little longer. */
static enum ml_injection_kind kind_of(const struct ml_process *process,
				      const struct ml_mapping *mapping,
				      const struct ml_agent_header *header)
{
	return (header->magic && beats(process, header)) || is_held(process, mapping)
		       ? ML_INJECTION_AT_WORK
		       : ML_INJECTION_STALE;
}

static struct ml_error *read_header(const struct ml_process *process,
				    const struct ml_mapping *mapping, struct ml_injection_left *out)
{
	struct ml_agent_header *header = &out->header;

	if (!ml_process_read(process, mapping->start, header, sizeof(*header)))
		header->magic = 0;
	if (header->magic == ML_AGENT_MAGIC && header->version == ML_AGENT_VERSION &&
	    header->size == mapping->end - mapping->start && header->address == mapping->start &&
	    header->island_count <= ML_AGENT_ISLANDS && header->patch_count <= ML_AGENT_PATCHES) {
		out->kind = kind_of(process, mapping, header);
		return NULL;
	}
	if (!header->magic) {
		/* Its tool has not written there yet, or was killed before it did. */
		out->kind = kind_of(process, mapping, header);
		*header = (struct ml_agent_header){.address = mapping->start,
						   .size = mapping->end - mapping->start};
		return NULL;
	}
	return ml_error_new(ML_ERROR_TARGET,
			    "process %d has an agent of another version of memleak in it",
			    ml_process_pid(process));
}

/* ---- what was inherited by a forked child, or never finished ----------------------------------
 */

static void take_patch(const uint8_t *bytes, struct ml_agent_header *header)
{
	struct ml_agent_patch patch;

	memcpy(&patch, bytes, sizeof(patch));
	if (patch.address && header->patch_count < ML_AGENT_PATCHES)
		header->patches[header->patch_count++] = patch;
}

static void take_patches(const struct ml_process *process, struct ml_agent_header *header,
			 uint64_t island)
{
	for (uint32_t i = 1; i < ML_ISLAND_SLOTS; i++) {
		uint64_t slot = island + i * ML_SLOT_BYTES, trampoline;
		uint8_t bytes[ML_SLOT_BYTES];

		if (!ml_process_read(process, slot, bytes, sizeof(bytes)))
			continue;
		memcpy(&trampoline, bytes, sizeof(trampoline));
		if (trampoline == slot + ML_SLOT_CODE)
			take_patch(bytes + ML_SLOT_PATCH, header);
		for (size_t k = 0; trampoline != slot + ML_SLOT_CODE && k < ML_SLOT_WORDS; k++)
			take_patch(bytes + ML_SLOT_CODE + k * sizeof(struct ml_agent_patch),
				   header);
	}
}

static void take_island(const struct ml_process *process, uint64_t page,
			struct ml_agent_header *header)
{
	struct ml_island_header island;

	if (header->island_count == ML_AGENT_ISLANDS ||
	    !ml_process_read(process, page, &island, sizeof(island)) ||
	    island.magic != ML_ISLAND_MAGIC || island.address != page)
		return;
	header->image = island.image;
	header->returned = island.returned;
	header->islands[header->island_count++] = (struct ml_agent_range){page, ML_ISLAND_BYTES};
	take_patches(process, header, page);
}

/* One that no island tells of. */
static void take_image(const struct ml_process *process, uint64_t page,
		       struct ml_agent_header *header)
{
	size_t size;
	const struct ml_agent_image_header *ours = ml_agent_image(&size);
	struct ml_agent_image_header image;

	if (!header->image.start && ml_process_read(process, page, &image, sizeof(image)) &&
	    !memcmp(&image, ours, sizeof(image))) {
		header->image =
			(struct ml_agent_range){page - ML_AGENT_IMAGE_CODE, ml_image_size()};
		header->returned = page + image.returned;
	}
}

/* The islands tell what a process without the memory has in it. */
static void find_parts(const struct ml_process *process, const struct ml_maps *maps,
		       struct ml_injection_left *out)
{
	ml_array_each (mapping, &maps->list) {
		if (!mapping->is_executable || mapping->is_writable || mapping->is_shared ||
		    mapping->offset || mapping->end - mapping->start > SCANNED_BYTES)
			continue;
		for (uint64_t page = mapping->start; page < mapping->end; page += ML_AGENT_PAGE) {
			take_island(process, page, &out->header);
			take_image(process, page, &out->header);
		}
	}
}

struct ml_error *ml_injection_find(const struct ml_process *process, struct ml_injection_left *out)
{
	struct ml_maps maps = {0};
	struct ml_error *error = ml_process_maps(process, &maps);

	*out = (struct ml_injection_left){.kind = ML_INJECTION_NONE};
	if (error)
		return error;
	ml_array_each (mapping, &maps.list)
		if (!error && !out->kind && ml_memory_is(process, mapping))
			error = read_header(process, mapping, out);
	if (!error && !out->header.magic)
		find_parts(process, &maps, out);
	if (!error && !out->kind && (out->header.image.start || ml_memory_descriptor(process) >= 0))
		out->kind = ML_INJECTION_INHERITED;
	ml_maps_deinit(&maps);
	return error;
}

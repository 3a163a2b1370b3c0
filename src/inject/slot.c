/* SPDX-License-Identifier: BSD-2-Clause */
/** What stands in a function's slot, and which way its calls take. */
#include "inject/agent_image.h"
#include "inject/arming.h"

#include <string.h>

static uint32_t entry_of(const struct ml_injection_function *function)
{
	size_t size;
	const struct ml_agent_image_header *image = ml_agent_image(&size);

	if (function->throws)
		return image->entry;
	switch (function->role) {
	case ML_ROLE_MALLOC:
		return image->malloc;
	case ML_ROLE_CALLOC:
		return image->calloc;
	case ML_ROLE_REALLOC:
		return image->realloc;
	case ML_ROLE_FREE:
		return image->free;
	default:
		return image->entry;
	}
}

/* The way of calls that sampling does not keep; NULL when there is none. */
static const struct ml_agent_short *short_of(uint32_t role)
{
	size_t size;
	const struct ml_agent_image_header *image = ml_agent_image(&size);

	switch (role) {
	case ML_ROLE_MALLOC:
		return &image->malloc_short;
	case ML_ROLE_CALLOC:
		return &image->calloc_short;
	case ML_ROLE_REALLOC:
		return &image->realloc_short;
	case ML_ROLE_FREE:
		return &image->free_short;
	default:
		return NULL;
	}
}

static const struct ml_agent_short *short_of_site(const struct ml_site *site)
{
	return site->is_by_imports ? NULL : short_of(site->function->role);
}

uint64_t ml_site_stub(const struct ml_injection *injection, const struct ml_site *site)
{
	const struct ml_agent_short *way = short_of_site(site);

	if (!way || !injection->memory->always_bytes)
		return site->slot + ML_SLOT_STUB;
	return site->slot + ML_SLOT_CODE - (way->end - way->start) - site->first.undo_size;
}

static void set_word(uint8_t slot[ML_SLOT_BYTES], size_t offset, uint64_t word)
{
	memcpy(slot + offset, &word, sizeof(word));
}

void ml_site_fill(const struct ml_injection *injection, const struct ml_site *site,
		  uint64_t substitute, uint8_t slot[ML_SLOT_BYTES])
{
	const struct ml_agent_header *header = &injection->memory->header;
	const struct ml_agent_descriptor descriptor = {
		.trampoline = site->trampoline,
		.substitute = substitute,
		.role = site->function->role,
		.swapped = site->function->is_swapped,
		.function = site->function->number,
	};
	const struct ml_agent_short *way = short_of_site(site);
	uint64_t entry = header->image.start + ML_AGENT_IMAGE_CODE + entry_of(site->function);
	size_t size;

	memcpy(slot, &descriptor, sizeof(descriptor));
	set_word(slot, ML_SLOT_ENTRY, entry);
	set_word(slot, ML_SLOT_SELF, site->slot);
	ml_machine_write_stub(slot, &site->first);
	if (!way)
		return;
	set_word(slot, ML_SLOT_LONG, entry);
	ml_machine_write_short(slot, ml_agent_image(&size), way, header->pointer, &site->first);
}

/* ---- when sampling begins later ---------------------------------------------------------------
 */

struct shortening {
	struct ml_step step;
	const struct ml_injection *injection;
};

/* Leads the stub in @slot to the short way, if it has one. */
static void shorten(const struct ml_stop *stop, uint64_t slot)
{
	uint8_t bytes[ML_SLOT_STUB];
	struct ml_agent_descriptor descriptor;
	const struct ml_agent_short *way;
	uint64_t entry;

	if (!ml_stop_read(stop, slot, bytes, sizeof(bytes)))
		return;
	memcpy(&descriptor, bytes, sizeof(descriptor));
	memcpy(&entry, bytes + ML_SLOT_LONG, sizeof(entry));
	way = short_of(descriptor.role);
	if (!way || !entry)
		return;
	entry = slot + ML_SLOT_CODE - (way->end - way->entered);
	ml_stop_write(stop, slot + ML_SLOT_ENTRY, &entry, sizeof(entry));
}

/* With all threads stopped: nobody reads half a word. */
static struct ml_error *shorten_all(void *context)
{
	struct shortening *shortening = context;
	const struct ml_injection *injection = shortening->injection;
	struct ml_agent_header *header = &injection->memory->header;
	struct ml_step *step = &shortening->step;
	struct ml_error *error = ml_step_seize(step, 0, NULL);

	if (!error)
		error = ml_step_stop(step);
	if (!error) {
		for (uint32_t i = 0; i < ml_agent_islands(header); i++)
			for (uint32_t k = 1; k < injection->used[i]; k++)
				shorten(&step->stop, header->islands[i].start + k * ML_SLOT_BYTES);
		ml_stop_end(&step->stop);
		ml_stop_count(&step->stop, header);
	}
	ml_step_leave(step, NULL);
	return error;
}

struct ml_error *ml_injection_shorten(const struct ml_injection *injection)
{
	struct shortening shortening = {.injection = injection};
	struct ml_error *error = ml_step_prepare(injection->process, &shortening.step);

	return error ? error : ml_step_run(injection->process, shorten_all, &shortening);
}

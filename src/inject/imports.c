/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Functions whose start cannot be patched, watched where they are called from other modules: the
 * words of global offset tables that lead to them lead to their stubs instead.
 */
#include "inject/arming.h"

#include <string.h>

static bool is_written(const struct ml_agent_header *header, uint64_t word)
{
	for (uint32_t i = 0; i < ml_agent_patches(header); i++)
		if (header->patches[i].address == word &&
		    header->patches[i].size == ML_AGENT_WORD_BYTES)
			return true;
	return false;
}

/* A slot anywhere: a table's word reaches all of them. */
static uint64_t take_slot(struct ml_injection *injection)
{
	const struct ml_agent_header *header = &injection->memory->header;

	for (uint32_t i = 0; i < ml_agent_islands(header); i++)
		if (injection->used[i] < ML_ISLAND_SLOTS)
			return header->islands[i].start + injection->used[i]++ * ML_SLOT_BYTES;
	return 0;
}

/* The function's slot, if it was given one when other modules were there. */
static uint64_t find_slot(const struct ml_injection *injection, uint64_t function)
{
	const struct ml_agent_header *header = &injection->memory->header;

	for (uint32_t i = 0; i < ml_agent_islands(header); i++)
		for (uint32_t k = 1; k < injection->used[i]; k++) {
			uint64_t at = header->islands[i].start + k * ML_SLOT_BYTES, trampoline;

			if (ml_process_read(injection->process, at, &trampoline,
					    sizeof(trampoline)) &&
			    trampoline == function)
				return at;
		}
	return 0;
}

static struct ml_agent_patch patch_of(const struct ml_injection_word *word, uint64_t slot)
{
	struct ml_agent_patch patch = {.address = word->address, .size = ML_AGENT_WORD_BYTES};
	uint64_t stub = slot + ML_SLOT_STUB;

	memcpy(patch.original, &word->value, sizeof(word->value));
	memcpy(patch.patched, &stub, sizeof(stub));
	return patch;
}

/* A slot with what is written over, for those who clean a forked child: ML_SLOT_WORDS in each, the
 * first words in the function's own slot. */
struct record {
	uint64_t slot;
	size_t count;
	uint8_t bytes[ML_SLOT_BYTES];
};

static bool write_record(const struct ml_injection *injection, const struct record *record)
{
	return ml_process_write(injection->process, record->slot, record->bytes,
				sizeof(record->bytes));
}

static bool add_word(struct ml_injection *injection, const struct ml_agent_patch *patch,
		     struct record *record)
{
	struct ml_agent_header *header = &injection->memory->header;
	uint32_t count = ml_agent_patches(header);

	if (count == ML_AGENT_PATCHES)
		return false;
	if (!record->slot || record->count == ML_SLOT_WORDS) {
		*record = (struct record){.slot = take_slot(injection)};
		if (!record->slot)
			return false;
	}
	memcpy(record->bytes + ML_SLOT_CODE + record->count++ * sizeof(*patch), patch,
	       sizeof(*patch));
	if (!write_record(injection, record))
		return false;
	header->patches[count] = *patch;
	header->patch_count = count + 1;
	return true;
}

/* The slot's stub calls the function itself, whose start is as it was. */
static bool begin_record(struct ml_injection *injection, struct ml_site *site,
			 struct record *record)
{
	site->slot = find_slot(injection, site->trampoline);
	if (site->slot)
		return true;
	record->slot = site->slot = take_slot(injection);
	ml_site_fill(injection, site, 0, record->bytes);
	return site->slot && write_record(injection, record);
}

bool ml_imports_has(const struct ml_injection *injection, uint64_t function)
{
	return find_slot(injection, function);
}

bool ml_imports_prepare(struct ml_arming *arming, const struct ml_injection_function *function,
			struct ml_site *site)
{
	struct ml_injection *injection = arming->injection;
	ml_injection_words words = {0};
	struct record record = {0};
	bool is_ready = false, found;

	*site = (struct ml_site){
		.function = function, .is_by_imports = true, .trampoline = function->address};
	/* What nobody imports is watched, too: there is nothing to be done before somebody does. */
	found = arming->imports &&
		arming->imports->find(arming->imports->context, function, &words);
	found |= words.count > 0;
	ml_array_each (word, &words) {
		if (is_written(&injection->memory->header, word->address))
			continue;
		if (!is_ready && !begin_record(injection, site, &record)) {
			found = false;
			break;
		}
		is_ready = true;

		struct ml_agent_patch patch = patch_of(word, site->slot);

		if (!add_word(injection, &patch, &record))
			break;
	}
	ml_array_free(&words);
	return found;
}

void ml_imports_write(const struct ml_arming *arming, struct ml_agent_patch *patch)
{
	const struct ml_stop *stop = &arming->step.stop;
	uint64_t now, stub, function = 0;

	memcpy(&stub, patch->patched, sizeof(stub));
	/* The loader may have found the function meanwhile. */
	if (ml_stop_read(stop, patch->address, &now, sizeof(now)) &&
	    ml_stop_read(stop, stub - ML_SLOT_STUB, &function, sizeof(function)) &&
	    (now == function || !memcmp(&now, patch->original, sizeof(now))) &&
	    ml_stop_write(stop, patch->address, &stub, sizeof(stub)))
		return;
	patch->address = 0;
}

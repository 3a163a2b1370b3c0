/* SPDX-License-Identifier: BSD-2-Clause */
#include "elf/frame_index.h"

#include <stddef.h>
#include <string.h>

#define VERSION        1
#define PCREL_SDATA4   0x1b
#define UDATA4         0x03
#define DATAREL_SDATA4 0x3b

/* The section's head in these encodings; `count` entries follow. */
struct head {
	uint8_t version, frame_encoding, count_encoding, table_encoding;
	int32_t frame;
	uint32_t count;
};

struct entry {
	int32_t function; /* from the section's own address */
	int32_t fde;
};

static struct entry entry_at(const uint8_t *table, size_t index)
{
	struct entry entry;

	memcpy(&entry, table + index * sizeof(entry), sizeof(entry));
	return entry;
}

bool ml_frame_index_function(struct ml_module *module, uint64_t address, uint64_t *start)
{
	struct ml_section section;
	struct head head;

	if (!ml_module_section(module, ".eh_frame_hdr", &section) || section.size < sizeof(head))
		return false;
	memcpy(&head, section.bytes, sizeof(head));
	if (head.version != VERSION || head.frame_encoding != PCREL_SDATA4 ||
	    head.count_encoding != UDATA4 || head.table_encoding != DATAREL_SDATA4 ||
	    head.count > (section.size - sizeof(head)) / sizeof(struct entry))
		return false;

	const uint8_t *table = section.bytes + sizeof(head);
	int64_t wanted = (int64_t)(address - section.address);
	size_t low = 0, high = head.count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (entry_at(table, middle).function <= wanted)
			low = middle + 1;
		else
			high = middle;
	}
	if (!low)
		return false;
	*start = section.address + (uint64_t)(int64_t)entry_at(table, low - 1).function;
	return true;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "unwind/eh_frame.h"

#include "base/array.h"
#include "base/file.h"

#include <gelf.h>
#include <stddef.h>
#include <stdlib.h>

/* The section's head; pointers in the encodings that all linkers use. */
#define VERSION        1
#define PCREL_SDATA4   0x1b
#define UDATA4         0x03
#define DATAREL_SDATA4 0x3b

/* libLLVM, which has 100 MB of code, has 7 MB of it. */
#define SIZE_LIMIT (256u << 20)

struct head {
	uint8_t version, frame_encoding, count_encoding, table_encoding;
	int32_t frame; /* from its own place */
	uint32_t count;
};

struct entry {
	int32_t function; /* from the head's address */
	int32_t fde;
};

static bool segment_find(struct ml_module *module, GElf_Phdr *out)
{
	Elf *elf = ml_module_elf(module);
	size_t count = 0;

	if (elf_getphdrnum(elf, &count))
		return false;
	for (size_t i = 0; i < count; i++) {
		if (gelf_getphdr(elf, (int)i, out) && out->p_type == PT_GNU_EH_FRAME)
			return true;
	}
	return false;
}

/** The end of the last record that the table at @p head names, 0 when it cannot be told. */
static uint64_t end_of_records(struct ml_module *module, uint64_t head, uint64_t segment_size)
{
	uint64_t size = segment_size - sizeof(struct head), last = 0;
	ML_FREE_CLEANUP struct entry *entries = ml_alloc(size);
	uint32_t length;

	if (!ml_module_read(module, head + sizeof(struct head), entries, size))
		return 0;
	for (size_t i = 0; i < size / sizeof(*entries); i++) {
		uint64_t fde = head + (uint64_t)(int64_t)entries[i].fde;

		if (fde > last)
			last = fde;
	}
	if (!last || !ml_module_read(module, last, &length, sizeof(length)))
		return 0;
	return last + sizeof(length) + length;
}

bool ml_eh_frame_read(struct ml_module *module, struct ml_cfi_section *out)
{
	GElf_Phdr segment;
	struct head head;
	uint64_t start, end;

	if (!segment_find(module, &segment) || segment.p_filesz < sizeof(head) ||
	    segment.p_filesz > SIZE_LIMIT ||
	    !ml_module_read(module, segment.p_vaddr, &head, sizeof(head)))
		return false;
	if (head.version != VERSION || head.frame_encoding != PCREL_SDATA4 ||
	    head.count_encoding != UDATA4 || head.table_encoding != DATAREL_SDATA4 ||
	    head.count > (segment.p_filesz - sizeof(head)) / sizeof(struct entry))
		return false;
	start = segment.p_vaddr + offsetof(struct head, frame) + (uint64_t)(int64_t)head.frame;
	end = end_of_records(module, segment.p_vaddr,
			     sizeof(head) + head.count * sizeof(struct entry));
	if (end <= start || end - start > SIZE_LIMIT)
		return false;

	uint8_t *bytes = ml_alloc(end - start);

	if (!ml_module_read(module, start, bytes, end - start)) {
		free(bytes);
		return false;
	}
	*out = (struct ml_cfi_section){
		.bytes = bytes, .size = end - start, .address = start, .is_eh = true};
	return true;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "elf/build_id.h"

#include <stdlib.h>
#include <string.h>

/* Notes are a few hundred bytes; core files, whose notes are large, are not opened here. */
#define NOTES_SIZE_MAX (1U << 20)

void ml_build_id_set(struct ml_build_id *out, const uint8_t *bytes, size_t size)
{
	static const char digits[] = "0123456789abcdef";

	memset(out, 0, sizeof(*out));
	if (size > ML_BUILD_ID_SIZE_MAX)
		return;
	out->size = size;
	for (size_t i = 0; i < size; i++) {
		out->bytes[i] = bytes[i];
		out->hex[2 * i] = digits[bytes[i] >> 4];
		out->hex[2 * i + 1] = digits[bytes[i] & 15];
	}
}

static size_t aligned(size_t size, size_t alignment)
{
	return (size + alignment - 1) & ~(alignment - 1);
}

/* One note at @p bytes: its size when it is whole, else 0. A build-id goes to @p out. */
static size_t read_note(const uint8_t *bytes, size_t left, size_t alignment,
			struct ml_build_id *out)
{
	Elf64_Nhdr note;

	if (left < sizeof(note))
		return 0;
	memcpy(&note, bytes, sizeof(note));
	if (note.n_namesz > left || note.n_descsz > left)
		return 0;

	size_t descriptor = aligned(sizeof(note) + note.n_namesz, alignment);
	size_t end = descriptor + note.n_descsz;

	if (end > left)
		return 0;
	if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == sizeof(ELF_NOTE_GNU) &&
	    memcmp(bytes + sizeof(note), ELF_NOTE_GNU, sizeof(ELF_NOTE_GNU)) == 0)
		ml_build_id_set(out, bytes + descriptor, note.n_descsz);
	end = aligned(end, alignment);
	return end < left ? end : left;
}

static void read_notes(const struct ml_image *image, uint64_t offset, uint64_t size,
		       uint64_t alignment, struct ml_build_id *out)
{
	uint8_t *notes = ml_image_load(image, offset, size, NOTES_SIZE_MAX);
	size_t at = 0;

	while (notes && at < size && out->size == 0) {
		/* Alignment 8 is for .note.gnu.property; anything else means 4 (gABI). */
		size_t step = read_note(notes + at, size - at, alignment == 8 ? 8 : 4, out);

		if (step == 0)
			break;
		at += step;
	}
	free(notes);
}

void ml_build_id_read(const struct ml_image *image, struct ml_build_id *out)
{
	memset(out, 0, sizeof(*out));
	for (size_t i = 0; i < image->segment_count && out->size == 0; i++) {
		const Elf64_Phdr *segment = &image->segments[i];

		if (segment->p_type == PT_NOTE)
			read_notes(image, segment->p_offset, segment->p_filesz, segment->p_align,
				   out);
	}
	for (size_t i = 0; i < image->section_count && out->size == 0; i++) {
		const Elf64_Shdr *section = &image->sections[i];

		if (section->sh_type == SHT_NOTE)
			read_notes(image, section->sh_offset, section->sh_size,
				   section->sh_addralign, out);
	}
}

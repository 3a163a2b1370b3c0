/* SPDX-License-Identifier: BSD-2-Clause */
/* Contents of sections, decompressed: SHF_COMPRESSED (gABI) and the older .zdebug_* of GNU. */
#include "elf/image.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

/* zlib's best ratio is 1032:1; what claims more is a lie or a bomb. */
#define RATIO_MAX      1032ULL
#define COMPRESSED_MAX (1ULL << 30)
/* Since binutils 2.40; glibc 2.36's elf.h does not know it. */
#define COMPRESSED_ZSTD 2
#define OLD_MAGIC       "ZLIB"

/** How the bytes of a section are stored. */
struct packing {
	uint32_t type;   /**< ELFCOMPRESS_…, 0 for plain bytes */
	uint64_t offset; /**< of the stored bytes in the file */
	uint64_t stored;
	uint64_t size; /**< once decompressed */
};

static bool read_gabi(const struct ml_image *image, const Elf64_Shdr *section, struct packing *out)
{
	Elf64_Chdr header;

	if (section->sh_size < sizeof(header) ||
	    !ml_image_read(image, section->sh_offset, &header, sizeof(header)))
		return false;
	*out = (struct packing){
		.type = header.ch_type,
		.offset = section->sh_offset + sizeof(header),
		.stored = section->sh_size - sizeof(header),
		.size = header.ch_size,
	};
	return header.ch_type == ELFCOMPRESS_ZLIB || header.ch_type == COMPRESSED_ZSTD;
}

/* "ZLIB", the size as 8 bytes big-endian, then what zlib wrote. */
static bool read_old(const struct ml_image *image, const Elf64_Shdr *section, struct packing *out)
{
	uint8_t header[12];
	uint64_t size;

	if (section->sh_size < sizeof(header) ||
	    !ml_image_read(image, section->sh_offset, header, sizeof(header)) ||
	    memcmp(header, OLD_MAGIC, strlen(OLD_MAGIC)) != 0)
		return false;
	memcpy(&size, header + strlen(OLD_MAGIC), sizeof(size));
	*out = (struct packing){
		.type = ELFCOMPRESS_ZLIB,
		.offset = section->sh_offset + sizeof(header),
		.stored = section->sh_size - sizeof(header),
		.size = be64toh(size),
	};
	return true;
}

static bool read_packing(const struct ml_image *image, const Elf64_Shdr *section,
			 struct packing *out)
{
	const char *name = ml_image_section_name(image, section);
	bool known;

	if (section->sh_type == SHT_NOBITS || section->sh_offset > image->size ||
	    section->sh_size > image->size - section->sh_offset)
		return false;
	if (section->sh_flags & SHF_COMPRESSED)
		known = read_gabi(image, section, out);
	else if (strncmp(name, ".zdebug_", 8) == 0)
		known = read_old(image, section, out);
	else {
		*out = (struct packing){
			.offset = section->sh_offset,
			.stored = section->sh_size,
			.size = section->sh_size,
		};
		return true;
	}
	return known && out->stored <= COMPRESSED_MAX && out->size / RATIO_MAX <= out->stored;
}

uint64_t ml_image_section_size(const struct ml_image *image, const Elf64_Shdr *section)
{
	struct packing packing;

	return read_packing(image, section, &packing) ? packing.size : 0;
}

static bool decompress(const struct packing *packing, const void *stored, void *buffer)
{
	uLongf size = packing->size;

	if (packing->type == ELFCOMPRESS_ZLIB)
		return uncompress(buffer, &size, stored, packing->stored) == Z_OK &&
		       size == packing->size;
	return ZSTD_decompress(buffer, packing->size, stored, packing->stored) == packing->size;
}

bool ml_image_section_read(const struct ml_image *image, const Elf64_Shdr *section, void *buffer,
			   size_t size)
{
	struct packing packing;

	if (!read_packing(image, section, &packing) || packing.size != size)
		return false;
	if (packing.type == 0)
		return ml_image_read(image, packing.offset, buffer, size);

	void *stored = ml_image_load(image, packing.offset, packing.stored, COMPRESSED_MAX);
	bool done = stored && decompress(&packing, stored, buffer);

	free(stored);
	return done;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * The bytes of one ELF file, on disk or in memory, with its headers read and checked against its
 * size. Headers are decoded here and not by libelf, so that a file without (or with nonsense for)
 * section headers stays readable.
 */
#ifndef ML_ELF_IMAGE_H
#define ML_ELF_IMAGE_H

#include "base/error.h"

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** All-zero (with fd -1) is a deinitialized one. */
struct ml_image {
	int fd;                /**< owned; -1 when the file is in memory */
	const uint8_t *memory; /**< borrowed; NULL when the file is on disk */
	uint64_t size;         /**< bytes in the file */
	Elf64_Ehdr header;
	Elf64_Phdr *segments; /**< owned */
	size_t segment_count;
	Elf64_Shdr *sections; /**< owned; none when the file has no usable section headers */
	size_t section_count;
	char *section_names; /**< owned, NUL-terminated; NULL when there are none */
	size_t section_names_size;
};

/** Takes @p fd over, also on failure. Errors name @p path and what is wrong with the file. */
struct ml_error *ml_image_open(int fd, const char *path, struct ml_image *out);

/** The same for @p size bytes at @p memory, which must outlive the image. */
struct ml_error *ml_image_open_memory(const void *memory, size_t size, const char *path,
				      struct ml_image *out);

void ml_image_deinit(struct ml_image *image);

/** Reads bytes [@p offset, @p offset + @p size) of the file; false when they are not all there. */
bool ml_image_read(const struct ml_image *image, uint64_t offset, void *buffer, size_t size);

/** The same into a new buffer with a NUL behind it (free() it); NULL above @p limit bytes. */
void *ml_image_load(const struct ml_image *image, uint64_t offset, uint64_t size, size_t limit);

/** The name of section @p section, "" when it has none. */
const char *ml_image_section_name(const struct ml_image *image, const Elf64_Shdr *section);

/** The first section called @p name with bytes in the file, or NULL. */
const Elf64_Shdr *ml_image_section_named(const struct ml_image *image, const char *name);

/** The next one of that name behind @p section, or NULL. */
const Elf64_Shdr *ml_image_section_behind(const struct ml_image *image, const Elf64_Shdr *section,
					  const char *name);

/** The first section of @p type (SHT_…) with bytes in the file, or NULL. */
const Elf64_Shdr *ml_image_section_of_type(const struct ml_image *image, uint32_t type);

/** Bytes of @p section once decompressed; 0 when it has none or they cannot be decompressed. */
uint64_t ml_image_section_size(const struct ml_image *image, const Elf64_Shdr *section);

/** Fills @p buffer with @p section, decompressed; @p size is what ml_image_section_size() says. */
bool ml_image_section_read(const struct ml_image *image, const Elf64_Shdr *section, void *buffer,
			   size_t size);

/** The PT_LOAD segment whose memory holds @p address, or NULL. */
const Elf64_Phdr *ml_image_segment_at(const struct ml_image *image, uint64_t address);

/** Where in the file the byte at @p address is; false when it has no byte there. */
bool ml_image_offset_of(const struct ml_image *image, uint64_t address, uint64_t *offset);

/** The value of the first dynamic entry @p tag (DT_…); false when there is none. */
bool ml_image_dynamic(const struct ml_image *image, int64_t tag, uint64_t *value);

#endif

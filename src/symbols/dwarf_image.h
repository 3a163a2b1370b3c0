/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * The debug sections of a file, copied (and decompressed) into an ELF image in memory for libdw.
 *
 * libdw never sees the file itself, for three reasons. It opens whatever path .gnu_debugaltlink
 * names as soon as a DIE refers to it: with a target's file, a path of the target in the root of
 * this machine. It loads and decompresses every section it knows without a bound. And libdw 0.188
 * takes the length of strings in damaged line tables beyond the end of the section: here zeroes
 * follow each one.
 */
#ifndef ML_SYMBOLS_DWARF_IMAGE_H
#define ML_SYMBOLS_DWARF_IMAGE_H

#include "elf/image.h"

#include <elfutils/libdw.h>
#include <libelf.h>
#include <stdbool.h>

/** The sections that lookups of lines and inlined functions need. */
enum ml_dwarf_section {
	ML_DWARF_LINE,
	ML_DWARF_INFO,
	ML_DWARF_ABBREV,
	ML_DWARF_LINE_STR,
	ML_DWARF_STR,
	ML_DWARF_ADDR,
	ML_DWARF_RANGES,
	ML_DWARF_RNGLISTS,
	ML_DWARF_STR_OFFSETS,
	ML_DWARF_TYPES,
	ML_DWARF_SECTIONS,
};

/** Borrowed bytes; none when size is 0. */
struct ml_dwarf_bytes {
	const uint8_t *bytes;
	size_t size;
};

/** All-zero is a closed one. */
struct ml_dwarf_image {
	char *bytes; /**< owned */
	Elf *elf;
	Dwarf *dwarf;
	struct ml_dwarf_bytes sections[ML_DWARF_SECTIONS]; /**< in `bytes` */
};

/** What a section of a new image is made of: part of a section of a file, or bytes in memory. */
struct ml_dwarf_part {
	const Elf64_Shdr *section; /**< NULL: memory */
	uint64_t skip;             /**< bytes of the section in front of the part */
	const uint8_t *memory;
	uint64_t size; /**< 0: there is no such section */
	/** The memory is not copied: it outlives the image, and ML_DWARF_PADDING zeroes follow it.
	 */
	bool is_shared;
};

/** Zeroes behind each section of an image. */
#define ML_DWARF_PADDING 16

/** The whole section of @p image with that name, @p suffix (".dwo") behind it; size 0 for none. */
struct ml_dwarf_part ml_dwarf_part_find(const struct ml_image *image, enum ml_dwarf_section section,
					const char *suffix);

/**
 * An image of @p parts, which lie in @p image or in memory. False, and nothing open, when they
 * cannot be read, are not DWARF or are more than @p limit bytes.
 */
bool ml_dwarf_image_open_parts(const struct ml_image *image,
			       const struct ml_dwarf_part parts[ML_DWARF_SECTIONS], uint64_t limit,
			       struct ml_dwarf_image *out);

/** Bytes that the debug sections of one module may take on this machine. */
uint64_t ml_dwarf_size_limit(void);

/** False, and nothing open, when @p image has no DWARF or more than ml_dwarf_size_limit(). */
bool ml_dwarf_image_open(const struct ml_image *image, struct ml_dwarf_image *out);

void ml_dwarf_image_close(struct ml_dwarf_image *image);

#endif

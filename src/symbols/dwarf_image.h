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

/** All-zero is a closed one. */
struct ml_dwarf_image {
	char *bytes; /**< owned */
	Elf *elf;
	Dwarf *dwarf;
	const uint8_t *lines; /**< .debug_line; NULL when there is none */
	size_t lines_size;
};

/** False, and nothing open, when @p image has no DWARF or more than this machine can bear. */
bool ml_dwarf_image_open(const struct ml_image *image, struct ml_dwarf_image *out);

void ml_dwarf_image_close(struct ml_dwarf_image *image);

#endif

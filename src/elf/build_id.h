/* SPDX-License-Identifier: BSD-2-Clause */
/** The GNU build-id: the note that names one link of a program for ever. */
#ifndef ML_ELF_BUILD_ID_H
#define ML_ELF_BUILD_ID_H

#include "elf/image.h"

#define ML_BUILD_ID_SIZE_MAX 64

struct ml_build_id {
	uint8_t bytes[ML_BUILD_ID_SIZE_MAX];
	size_t size; /**< 0: there is none */
	char hex[2 * ML_BUILD_ID_SIZE_MAX + 1];
};

/** Reads it from the PT_NOTE segments, else from the SHT_NOTE sections. */
void ml_build_id_read(const struct ml_image *image, struct ml_build_id *out);

/** Fills in @p out from bytes; more than ML_BUILD_ID_SIZE_MAX are none. */
void ml_build_id_set(struct ml_build_id *out, const uint8_t *bytes, size_t size);

#endif

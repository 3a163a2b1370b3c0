/* SPDX-License-Identifier: BSD-2-Clause */
/** Where functions start, by .eh_frame_hdr: known also for those that have no symbol. */
#ifndef ML_ELF_FRAME_INDEX_H
#define ML_ELF_FRAME_INDEX_H

#include "elf/module.h"

#include <stdbool.h>
#include <stdint.h>

/**
 * The start of the last function of @p module's sorted search table (LSB Core, "The .eh_frame_hdr
 * section") that does not start behind @p address. False when there is no table of the usual
 * encodings (those of GNU ld, gold, lld and mold), or none starts before.
 */
bool ml_frame_index_function(struct ml_module *module, uint64_t address, uint64_t *start);

#endif

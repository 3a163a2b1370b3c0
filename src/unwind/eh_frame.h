/* SPDX-License-Identifier: BSD-2-Clause */
/** Where .eh_frame is in a file without section headers, as some packers and strippers leave it. */
#ifndef ML_UNWIND_EH_FRAME_H
#define ML_UNWIND_EH_FRAME_H

#include "unwind/cfi.h"

#include "elf/module.h"

/**
 * Finds .eh_frame of @p module by the program header PT_GNU_EH_FRAME and the search table there
 * (LSB Core, "The .eh_frame_hdr section"), and reads it. False when there is none. On success
 * section->bytes are the caller's to free.
 */
bool ml_eh_frame_read(struct ml_module *module, struct ml_cfi_section *out);

#endif

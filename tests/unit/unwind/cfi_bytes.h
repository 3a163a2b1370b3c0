/* SPDX-License-Identifier: BSD-2-Clause */
/** CFI written by hand, and ELF files around it, for tests. */
#ifndef ML_TEST_CFI_BYTES_H
#define ML_TEST_CFI_BYTES_H

#include "elf/module.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The made files: one executable segment here, as large as its code. */
#define CFI_TEXT_ADDRESS 0x401000ULL
#define CFI_TEXT_SIZE    0x1000ULL
/* Where .eh_frame is mapped. */
#define CFI_ADDRESS 0x500000ULL

/** A section that grows. */
struct cfi_bytes {
	uint8_t bytes[4096];
	size_t size;
	const uint8_t *code; /**< of the module's text, from its start; may be NULL */
	size_t code_size;
	bool is_debug_frame; /**< ids and pointers as .debug_frame has them, not .eh_frame */
};

void cfi_add(struct cfi_bytes *cfi, const void *bytes, size_t size);
void cfi_add_number(struct cfi_bytes *cfi, uint64_t value, size_t size);

/** Adds a CIE (version 1, "zR", absolute 8-byte addresses, code 1, data -8): rsp + 8, ra at CFA-8,
 * then @p more. Gives its offset. */
size_t cfi_add_cie(struct cfi_bytes *cfi, const void *more, size_t size);

/** Adds an FDE of that CIE for code [start, start + length). */
void cfi_add_fde(struct cfi_bytes *cfi, size_t cie, uint64_t start, uint64_t length,
		 const void *instructions, size_t size);

/** Wraps the bytes as section @p name of a small program whose entry point is @p entry. */
struct ml_module *cfi_module(const struct cfi_bytes *cfi, const char *name, uint64_t entry);

#endif

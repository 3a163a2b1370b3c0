/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * The records of .eh_frame and .debug_frame: common information entries (CIE) and the frame
 * description entries (FDE) of functions. DWARF 5 §6.4, and the Linux Standard Base 5 for what
 * .eh_frame does otherwise.
 */
#ifndef ML_UNWIND_CFI_H
#define ML_UNWIND_CFI_H

#include "base/cursor.h"

/** A section of CFI. The bytes are borrowed. */
struct ml_cfi_section {
	const uint8_t *bytes;
	size_t size;
	uint64_t address; /**< of the first byte, for pc-relative pointers */
	uint64_t text;    /**< what DW_EH_PE_textrel is relative to */
	uint64_t data;    /**< what DW_EH_PE_datarel is relative to */
	bool is_eh;       /**< .eh_frame; else .debug_frame */
};

enum ml_cfi_kind { ML_CFI_CIE, ML_CFI_FDE };

/** One record as it lies in the section. */
struct ml_cfi_record {
	enum ml_cfi_kind kind;
	uint64_t offset;       /**< of the record in the section: what an FDE names its CIE by */
	uint64_t cie_offset;   /**< of an FDE's CIE */
	struct ml_cursor body; /**< after the CIE id or pointer */
};

struct ml_cfi_cie {
	uint64_t code_align;
	int64_t data_align;
	uint64_t ra_register;
	uint8_t pointer_encoding;   /**< DW_EH_PE_* of the FDEs' addresses */
	bool has_augmentation_data; /**< 'z': FDEs carry a length to skip */
	struct ml_cursor instructions;
};

struct ml_cfi_fde {
	uint64_t start; /**< ELF address */
	uint64_t size;  /**< in bytes of code */
	struct ml_cursor instructions;
};

/**
 * The record at *@p offset, which is moved to the next one; false at the end of the section, or
 * where its framing is damaged. Terminators (length 0) are stepped over: linkers leave them in the
 * middle when crtend.o is not the last object.
 */
bool ml_cfi_record_next(const struct ml_cfi_section *section, uint64_t *offset,
			struct ml_cfi_record *out);

/** False when the entry is damaged or of a kind nobody emits for x86-64. */
bool ml_cfi_cie_parse(const struct ml_cfi_section *section, const struct ml_cfi_record *record,
		      struct ml_cfi_cie *out);

/** The same for an FDE, whose CIE is @p cie. */
bool ml_cfi_fde_parse(const struct ml_cfi_section *section, const struct ml_cfi_record *record,
		      const struct ml_cfi_cie *cie, struct ml_cfi_fde *out);

/** Reads an encoded pointer (DW_EH_PE_*); fails the cursor for encodings that cannot be followed.
 */
uint64_t ml_cfi_pointer(const struct ml_cfi_section *section, struct ml_cursor *cursor,
			uint8_t encoding);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/** The interpreter of call frame instructions, as far as rip, rsp, rbp and rbx go. */
#ifndef ML_UNWIND_FRAME_H
#define ML_UNWIND_FRAME_H

#include "shared/unwind_rows.h"
#include "unwind/cfi.h"

/** How the return address is found. */
enum ml_frame_ra {
	ML_RA_OTHER,     /**< some way rows cannot tell, or no rule at all */
	ML_RA_CFA,       /**< at CFA + ra_offset */
	ML_RA_UNDEFINED, /**< there is none: the outermost frame */
};

/** Where the caller's value of a register is. */
struct ml_frame_saved {
	uint8_t rule; /**< ML_RBP_* */
	int64_t offset;
};

/** The rules in effect at one pc. */
struct ml_frame {
	uint8_t cfa_rule;      /**< 0: cfa_register + cfa_offset; else an expression: ML_CFA_* */
	enum ml_frame_ra ra;   /**< of the return address */
	int16_t cfa_words;     /**< of the expression, as in struct ml_unwind_row */
	uint64_t cfa_register; /**< DWARF number */
	int64_t cfa_offset;
	int64_t ra_offset;
	struct ml_frame_saved rbp;
	struct ml_frame_saved rbx;
};

/** What a run of instructions needs to know, and whom it tells. */
struct ml_frame_program {
	const struct ml_cfi_section *section;
	const struct ml_cfi_cie *cie;
	struct ml_cursor instructions;
	const struct ml_frame *initial; /**< for DW_CFA_restore; NULL while the CIE itself runs */
	uint64_t start;                 /**< code covered: [start, end) */
	uint64_t end;
	/** Called with rising pcs: @p frame holds from @p pc on. May be NULL. */
	void (*emit)(void *context, uint64_t pc, const struct ml_frame *frame);
	void *context;
};

/**
 * Runs the program from the rules in *@p frame on, and leaves the last ones there. False when an
 * instruction is damaged or unknown: the rules from there on are told as ML_CFA_BAD.
 */
bool ml_frame_run(const struct ml_frame_program *program, struct ml_frame *frame);

/** The row that tells @p frame, its pc 0. */
struct ml_unwind_row ml_frame_row(const struct ml_frame *frame);

#endif

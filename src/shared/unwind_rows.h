/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/**
 * The compiled unwind table: what remains of .eh_frame when only rip, rsp and rbp matter, and rbx,
 * which a few functions (_dl_runtime_resolve of glibc) find their frame by.
 *
 * Rows are sorted by pc; a row holds from its pc to the next row's. A page index gives, for every
 * KiB of text, the rows that start in it, so that a search is at most a few probes.
 * The rules are those of the x86-64 psABI (DWARF register 7 = rsp, 6 = rbp, 3 = rbx, 16 = return
 * address).
 */
#ifndef ML_SHARED_UNWIND_ROWS_H
#define ML_SHARED_UNWIND_ROWS_H

#include "shared/types.h"

#define ML_UNWIND_PAGE_SHIFT 10

/* How the CFA (the caller's rsp) is found: low 4 bits of ml_unwind_row.rules. */
#define ML_CFA_NONE      0u  /* no unwind information here */
#define ML_CFA_RSP       1u  /* rsp + 8 * cfa_words */
#define ML_CFA_RBP       2u  /* rbp + 8 * cfa_words */
#define ML_CFA_DEREF_RBP 3u  /* *(rbp + 8 * offset) + 8 * addend: realigned frames */
#define ML_CFA_PLT       4u  /* rsp + 8, + 8 more from byte cfa_words of each 16-byte entry on */
#define ML_CFA_SIGNAL    5u  /* a signal frame: registers are in the ucontext at rsp */
#define ML_CFA_END       6u  /* the return address is undefined: the outermost frame */
#define ML_CFA_BAD       7u  /* a rule these rows cannot tell */
#define ML_CFA_DEREF_RSP 8u  /* *(rsp + 8 * offset) + 8 * addend: OpenSSL's assembly */
#define ML_CFA_RBX       9u  /* rbx + 8 * cfa_words */
#define ML_CFA_GO_STACK  10u /* the goroutine stack that asmcgocall() left */
#define ML_CFA_RSP_FAR   11u /* to 14: rsp + 16 * (cfa_words + 65536 * (rule - 11)) */
#define ML_CFA_RSP_LAST  14u
#define ML_CFA_COUNT     15u

/* cfa_words of the two DEREF rules holds both numbers, each of 8 bits with a sign. */
#define ML_DEREF_WORDS(offset, addend) ((int16_t)((addend)*256 + ((offset)&255)))
#define ML_DEREF_OFFSET(cfa_words)     ((int8_t)((cfa_words)&255))
#define ML_DEREF_ADDEND(cfa_words)     ((int8_t)((cfa_words) >> 8))

/* Frames with arrays of 256 KiB and more (Rust's compiler and ninja have them), up to 4 MiB. At
 * calls the CFA is a multiple of 16 bytes away from rsp, as the psABI wants the stack aligned
 * there; here cfa_words has no sign. */
#define ML_FAR_UNIT  16
#define ML_FAR_TIMES 0x10000

/* Where the caller's rbp is: bits 4 and 5 of ml_unwind_row.rules. */
#define ML_RBP_SAME  0u /* unchanged */
#define ML_RBP_CFA   1u /* at CFA + 8 * rbp_words */
#define ML_RBP_RBP   2u /* at rbp + 8 * rbp_words */
#define ML_RBP_UNDEF 3u /* lost */

/* Where the caller's rbx is: bits 6 and 7. Compilers save it last, so that one number does for both
 * registers nearly always. */
#define ML_RBX_SAME                 0u /* unchanged */
#define ML_RBX_BELOW_RBP            1u /* in the word below the saved rbp (ML_RBP_CFA) */
#define ML_RBX_CFA                  2u /* at CFA + 8 * rbp_words; a saved rbp (ML_RBP_CFA) at CFA - 16 */
#define ML_RBX_LOST                 3u

#define ML_ROW_CFA(rules)           ((rules)&15u)
#define ML_ROW_RBP(rules)           ((rules) >> 4 & 3u)
#define ML_ROW_RBX(rules)           ((rules) >> 6 & 3u)
#define ML_ROW_RULES(cfa, rbp, rbx) ((uint8_t)((cfa) | (rbp) << 4 | (rbx) << 6))

/* What asmcgocall() keeps on the stack it switches to, from rsp at its call of C, and where a `g`
 * has the top of its stack (Go's runtime/asm_amd64.s and runtime2.go, the same since Go 1.4). */
#define ML_GO_DEPTH     40 /* how far below its top the left stack is used */
#define ML_GO_ROUTINE   48 /* the g */
#define ML_GO_STACK_TOP 8  /* in a g */

/* Offsets in struct ucontext_t of the x86-64 Linux signal frame, from the rsp at __restore_rt. */
#define ML_SIGNAL_RBP 120
#define ML_SIGNAL_RBX 128
#define ML_SIGNAL_RSP 160
#define ML_SIGNAL_RIP 168

struct ml_unwind_row {
	uint32_t pc;       /**< ELF address relative to the table's base */
	int16_t cfa_words; /**< offset of the CFA rule, in 8-byte words */
	uint8_t rules;     /**< ML_ROW_RULES(ML_CFA_*, ML_RBP_*, ML_RBX_*) */
	int8_t rbp_words;  /**< offset of the rbp and rbx rules, in 8-byte words */
};

_Static_assert(sizeof(struct ml_unwind_row) == 8, "rows fill a BPF array of 64-bit values");

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * A slot of an island: a function's descriptor, three constants, its stub, perhaps its short way,
 * the instructions moved out of it (the trampoline), and the patch that leads here. Also for
 * assembler. Places are such that a short way and its trampoline are in few cache lines.
 */
#ifndef ML_SHARED_SLOT_H
#define ML_SHARED_SLOT_H

#define ML_SLOT_BYTES 512
#define ML_SLOT_ENTRY 24 /* where the stub jumps to */
#define ML_SLOT_SELF  32 /* the slot's address */
#define ML_SLOT_LONG  40 /* where the short way goes on; 0: there is none */
#define ML_SLOT_STUB  48
#define ML_SLOT_SHORT 64  /* the short way is between here … */
#define ML_SLOT_CODE  304 /* … and here, where the trampoline begins */
#define ML_SLOT_PATCH 448
/* Code that takes back what a function's first instruction did. */
#define ML_SLOT_UNDO 4

#endif

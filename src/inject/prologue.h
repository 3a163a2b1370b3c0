/* SPDX-License-Identifier: BSD-2-Clause */
/** The first instructions of a function, moved elsewhere so that a jump can stand in their place.
 */
#ifndef ML_INJECT_PROLOGUE_H
#define ML_INJECT_PROLOGUE_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ML_PROLOGUE_CODE  112
#define ML_PROLOGUE_FIRST 7 /**< longest first instruction that is left in place */
#define ML_PROLOGUE_MOVES 8

struct ml_prologue {
	uint8_t code[ML_PROLOGUE_CODE]; /**< the instructions, then a jump to what follows them */
	size_t code_size;
	size_t length; /**< bytes of the function they were */
	/** Where each instruction was and is, for a thread that stands before it. */
	struct {
		uint8_t from, to;
	} moves[ML_PROLOGUE_MOVES];
	size_t move_count;
};

/** A function's first instruction, when the patch can stand behind it. */
struct ml_prologue_first {
	size_t length;   /**< 0: the patch must stand at the function's first byte */
	uint8_t undo[4]; /**< code that takes back what it did */
	size_t undo_size;
	bool must_redo; /**< it has to come before the instructions moved */
};

/**
 * Looks whether the function of @p bytes can be patched behind its first instruction. What others
 * put at the first byte (uprobes, breakpoints) then works beside the patch, before and after: the
 * kernel takes the instruction there for the file's and goes on behind it, which in the middle of a
 * jump at the first byte would end the process.
 */
void ml_prologue_look(const uint8_t *bytes, size_t size, struct ml_prologue_first *out);

/**
 * Moves the instructions in the first 5 bytes of @p bytes (@p size of them, a function at
 * @p address, with the padding behind it if it is short) to @p to, at most 2 GiB away.
 * ML_ERROR_UNSUPPORTED when they cannot be moved, or something in @p bytes jumps in between them.
 */
struct ml_error *ml_prologue_move(const uint8_t *bytes, size_t size, uint64_t address, uint64_t to,
				  struct ml_prologue *out);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/** The first instructions of a function, moved elsewhere so that a jump can stand in their place.
 */
#ifndef ML_INJECT_PROLOGUE_H
#define ML_INJECT_PROLOGUE_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

#define ML_PROLOGUE_CODE  128
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

/**
 * Moves the instructions in the first 5 bytes of @p bytes (@p size of them, a function at
 * @p address) to @p to, at most 2 GiB away. ML_ERROR_UNSUPPORTED when they cannot be moved, or
 * something in @p bytes jumps in between them.
 */
struct ml_error *ml_prologue_move(const uint8_t *bytes, size_t size, uint64_t address, uint64_t to,
				  struct ml_prologue *out);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/** x86-64 instructions, decoded out of bytes nobody vouches for. */
#ifndef ML_ALLOCATORS_CODE_H
#define ML_ALLOCATORS_CODE_H

#include <Zydis/Zydis.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** The bytes of one function. */
struct ml_code {
	const uint8_t *bytes;
	size_t size;
	bool is_whole; /**< the bytes are the whole function, not only its beginning */
};

/** A decoded instruction and where it stands in its ml_code. */
struct ml_instruction {
	size_t offset;
	ZydisDecodedInstruction zydis;
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
};

/** Decodes the instruction at @p offset, operands included; false when there is none. */
bool ml_code_decode(const struct ml_code *code, size_t offset, struct ml_instruction *out);

/** The same without operands, about twice as fast. */
bool ml_code_decode_short(const struct ml_code *code, size_t offset, struct ml_instruction *out);

/** True for a jump or call to a fixed place; @p target is relative to the function's start. */
bool ml_instruction_target(const struct ml_instruction *instruction, int64_t *target);

/** True when it may change where execution goes on: any jump, call, return, trap or syscall. */
bool ml_instruction_is_control_flow(const struct ml_instruction *instruction);

/** Integer arguments as bits, the first one in bit 0: the first @p count, and single ones. */
#define ML_ARGUMENTS(count) ((1u << (count)) - 1)
#define ML_ARGUMENT_FIRST   1u
#define ML_ARGUMENT_SECOND  2u

/** True when it writes the stack pointer or the register of one of @p arguments (bits as above). */
bool ml_instruction_clobbers(const struct ml_instruction *instruction, unsigned int arguments);

/** True for `mov %rdi,%rsi`: the first argument becomes the second. */
bool ml_instruction_shifts_first(const struct ml_instruction *instruction);

#endif

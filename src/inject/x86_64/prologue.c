/* SPDX-License-Identifier: BSD-2-Clause */
#include "inject/prologue.h"

#include "shared/agent_abi.h"

#include <Zydis/Zydis.h>
#include <stdbool.h>
#include <string.h>

#define JUMP_BYTES 5

struct mover {
	uint64_t address, to;
	struct ml_prologue *out;
	bool is_over; /* control never passes the last instruction moved */
};

static struct ml_error *refuse(const char *why)
{
	return ml_error_new(ML_ERROR_UNSUPPORTED, "its first instructions cannot be moved: %s",
			    why);
}

static void put(struct ml_prologue *out, const void *bytes, size_t size)
{
	memcpy(out->code + out->code_size, bytes, size);
	out->code_size += size;
}

/* Puts @opcode and the distance from behind it to @target. */
static struct ml_error *put_jump(struct mover *mover, const uint8_t *opcode, size_t opcode_size,
				 uint64_t target)
{
	struct ml_prologue *out = mover->out;
	int64_t distance = (int64_t)(target - (mover->to + out->code_size + opcode_size + 4));
	int32_t near = (int32_t)distance;

	if (near != distance)
		return refuse("a jump would be too far");
	put(out, opcode, opcode_size);
	put(out, &near, sizeof(near));
	return NULL;
}

static struct ml_error *move_branch(struct mover *mover, const ZydisDecodedInstruction *decoded,
				    uint64_t target)
{
	uint8_t jump = 0xe9, conditional[2] = {0x0f, 0};

	if (target > mover->address && target < mover->address + JUMP_BYTES)
		return refuse("they jump among themselves");
	if (decoded->mnemonic == ZYDIS_MNEMONIC_JMP) {
		mover->is_over = true;
		return put_jump(mover, &jump, 1, target);
	}
	/* 70…7f and 0f 80…8f are the same conditions; loop and jrcxz have no near form. */
	if (decoded->meta.category != ZYDIS_CATEGORY_COND_BR ||
	    ((decoded->opcode & 0xf0) != 0x70 && (decoded->opcode & 0xf0) != 0x80))
		return refuse("a loop is among them");
	conditional[1] = (uint8_t)(0x80 | (decoded->opcode & 15));
	return put_jump(mover, conditional, 2, target);
}

static struct ml_error *move_plain(struct mover *mover, const ZydisDecodedInstruction *decoded,
				   const uint8_t *bytes, size_t offset)
{
	struct ml_prologue *out = mover->out;
	size_t at = out->code_size;

	put(out, bytes + offset, decoded->length);
	if (!(decoded->attributes & ZYDIS_ATTRIB_IS_RELATIVE))
		return NULL;
	if (decoded->raw.disp.size != 32)
		return refuse("an address relative to them");

	int64_t moved = (int64_t)decoded->raw.disp.value +
			(int64_t)(mover->address + offset - (mover->to + at));
	int32_t near = (int32_t)moved;

	if (near != moved)
		return refuse("data they use would be too far");
	memcpy(out->code + at + decoded->raw.disp.offset, &near, sizeof(near));
	return NULL;
}

/*
 * A call, which comes back to where it stood in the function: the address it would have pushed is
 * pushed, and then jumped. So the function's own frame is there, for exceptions and for whoever
 * walks the stack. Through a word of a table near it, or directly.
 */
static struct ml_error *move_call(struct mover *mover, const ZydisDecodedInstruction *decoded,
				  const uint8_t *bytes, size_t offset)
{
	static const uint8_t push_word[] = {0xff, 0x35}, jump = 0xe9, jump_by_word[] = {0xff, 0x25};
	uint64_t next = mover->address + offset + decoded->length;
	bool is_by_word = decoded->opcode == 0xff;
	uint32_t to_word = (is_by_word ? sizeof(jump_by_word) : sizeof(jump)) + 4;
	uint64_t target;
	struct ml_error *error;

	if (offset + decoded->length < JUMP_BYTES)
		return refuse("a call that comes back among them");
	if (is_by_word && (decoded->raw.modrm.mod != 0 || decoded->raw.modrm.rm != 5 ||
			   decoded->raw.modrm.reg != 2))
		return refuse("a call by a register or a far one is among them");
	target = next +
		 (uint64_t)(is_by_word ? decoded->raw.disp.value : decoded->raw.imm[0].value.s);
	put(mover->out, push_word, sizeof(push_word));
	put(mover->out, &to_word, sizeof(to_word));
	error = is_by_word ? put_jump(mover, jump_by_word, sizeof(jump_by_word), target)
			   : put_jump(mover, &jump, sizeof(jump), target);
	put(mover->out, &next, sizeof(next));
	mover->is_over = true;
	return error;
}

static struct ml_error *move_one(struct mover *mover, const ZydisDecodedInstruction *decoded,
				 const uint8_t *bytes, size_t offset)
{
	struct ml_prologue *out = mover->out;

	if (out->move_count == ML_PROLOGUE_MOVES)
		return refuse("too many");
	out->moves[out->move_count].from = (uint8_t)offset;
	out->moves[out->move_count++].to = (uint8_t)out->code_size;
	switch (decoded->meta.category) {
	case ZYDIS_CATEGORY_CALL:
		return move_call(mover, decoded, bytes, offset);
	case ZYDIS_CATEGORY_INTERRUPT:
	case ZYDIS_CATEGORY_SYSCALL:
	case ZYDIS_CATEGORY_SYSRET:
	case ZYDIS_CATEGORY_SYSTEM:
		return refuse("a trap is among them");
	case ZYDIS_CATEGORY_RET:
		mover->is_over = true;
		return move_plain(mover, decoded, bytes, offset);
	default:
		break;
	}
	if (decoded->raw.imm[0].size && decoded->raw.imm[0].is_relative)
		return move_branch(mover, decoded,
				   mover->address + offset + decoded->length +
					   (uint64_t)decoded->raw.imm[0].value.s);
	if (decoded->meta.category == ZYDIS_CATEGORY_UNCOND_BR)
		mover->is_over = true;
	return move_plain(mover, decoded, bytes, offset);
}

/* What compilers put between functions; nothing comes there. */
static bool is_padding(const ZydisDecodedInstruction *decoded)
{
	return decoded->mnemonic == ZYDIS_MNEMONIC_NOP || decoded->mnemonic == ZYDIS_MNEMONIC_INT3;
}

/* Something in the function may jump back behind its first instruction. */
static bool is_jumped_into(const ZydisDecoder *decoder, const uint8_t *bytes, size_t size,
			   size_t length)
{
	ZydisDecodedInstruction decoded;

	for (size_t at = 0; at < size; at += decoded.length) {
		if (ZYAN_FAILED(ZydisDecoderDecodeInstruction(decoder, NULL, bytes + at, size - at,
							      &decoded)))
			return false;
		if (!decoded.raw.imm[0].size || !decoded.raw.imm[0].is_relative)
			continue;

		int64_t target = (int64_t)(at + decoded.length) + decoded.raw.imm[0].value.s;

		if (target > 0 && target < (int64_t)length)
			return true;
	}
	return false;
}

/* ---- the first instruction --------------------------------------------------------------------
 */

/* Something in the function jumps to @offset. */
static bool is_target(const ZydisDecoder *decoder, const uint8_t *bytes, size_t size, size_t offset)
{
	ZydisDecodedInstruction decoded;

	for (size_t at = 0; at < size; at += decoded.length) {
		if (ZYAN_FAILED(ZydisDecoderDecodeInstruction(decoder, NULL, bytes + at, size - at,
							      &decoded)))
			return false;
		if (decoded.raw.imm[0].size && decoded.raw.imm[0].is_relative &&
		    (int64_t)(at + decoded.length) + decoded.raw.imm[0].value.s == (int64_t)offset)
			return true;
	}
	return false;
}

/* `push` of a register: `pop` of the same takes it back. */
static bool look_at_push(const ZydisDecodedInstruction *decoded, const uint8_t *bytes,
			 struct ml_prologue_first *out)
{
	size_t last = (size_t)decoded->length - 1;

	if (decoded->mnemonic != ZYDIS_MNEMONIC_PUSH || decoded->length > 2 ||
	    (decoded->opcode & 0xf8) != 0x50)
		return false;
	memcpy(out->undo, bytes, decoded->length);
	out->undo[last] = (uint8_t)(bytes[last] + 8);
	out->undo_size = decoded->length;
	out->must_redo = true;
	return true;
}

/* A comparison of registers changes only flags, which mean nothing at a function's start. */
static bool is_comparison(const ZydisDecodedInstruction *decoded)
{
	return (decoded->mnemonic == ZYDIS_MNEMONIC_TEST ||
		decoded->mnemonic == ZYDIS_MNEMONIC_CMP) &&
	       (decoded->attributes & ZYDIS_ATTRIB_HAS_MODRM) && decoded->raw.modrm.mod == 3;
}

void ml_prologue_look(const uint8_t *bytes, size_t size, struct ml_prologue_first *out)
{
	struct ml_prologue_first first = {0};
	ZydisDecodedInstruction decoded;
	ZydisDecoder decoder;

	*out = first;
	if (ZYAN_FAILED(
		    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64)) ||
	    ZYAN_FAILED(ZydisDecoderDecodeInstruction(&decoder, NULL, bytes, size, &decoded)))
		return;
	if (is_comparison(&decoded))
		first.must_redo = true;
	else if (decoded.mnemonic != ZYDIS_MNEMONIC_ENDBR64 &&
		 decoded.mnemonic != ZYDIS_MNEMONIC_NOP && !look_at_push(&decoded, bytes, &first))
		return;
	if (decoded.length > ML_PROLOGUE_FIRST || is_target(&decoder, bytes, size, decoded.length))
		return;
	first.length = decoded.length;
	*out = first;
}

/* ---- moving -----------------------------------------------------------------------------------
 */

struct ml_error *ml_prologue_move(const uint8_t *bytes, size_t size, uint64_t address, uint64_t to,
				  struct ml_prologue *out)
{
	struct mover mover = {.address = address, .to = to, .out = out};
	ZydisDecodedInstruction decoded;
	struct ml_error *error = NULL;
	ZydisDecoder decoder;
	uint8_t jump = 0xe9;

	*out = (struct ml_prologue){0};
	if (ZYAN_FAILED(
		    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64)))
		return refuse("no decoder");
	while (!error && out->length < JUMP_BYTES) {
		if (ZYAN_FAILED(ZydisDecoderDecodeInstruction(&decoder, NULL, bytes + out->length,
							      size - out->length, &decoded)))
			return refuse("not an instruction");
		if (!mover.is_over)
			error = move_one(&mover, &decoded, bytes, out->length);
		else if (!is_padding(&decoded))
			error = refuse("the function is too short");
		out->length += decoded.length;
	}
	if (!error && is_jumped_into(&decoder, bytes, size, out->length))
		error = refuse("the function jumps back among them");
	if (!error && !mover.is_over)
		error = put_jump(&mover, &jump, 1, address + out->length);
	return error;
}

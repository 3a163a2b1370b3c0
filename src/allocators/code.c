/* SPDX-License-Identifier: BSD-2-Clause */
#include "allocators/code.h"

static bool decode(const struct ml_code *code, size_t offset, struct ml_instruction *out,
		   bool with_operands)
{
	ZydisDecoder decoder;
	ZydisDecoderContext context;
	ZyanStatus status;

	if (offset >= code->size)
		return false;
	if (ZYAN_FAILED(
		    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64)))
		return false;
	status = ZydisDecoderDecodeInstruction(&decoder, &context, code->bytes + offset,
					       code->size - offset, &out->zydis);
	if (ZYAN_FAILED(status))
		return false;
	out->offset = offset;
	if (!with_operands)
		return true;
	status = ZydisDecoderDecodeOperands(&decoder, &context, &out->zydis, out->operands,
					    out->zydis.operand_count);
	return ZYAN_SUCCESS(status);
}

bool ml_code_decode(const struct ml_code *code, size_t offset, struct ml_instruction *out)
{
	return decode(code, offset, out, true);
}

bool ml_code_decode_short(const struct ml_code *code, size_t offset, struct ml_instruction *out)
{
	return decode(code, offset, out, false);
}

bool ml_instruction_target(const struct ml_instruction *instruction, int64_t *target)
{
	const ZydisDecodedInstruction *zydis = &instruction->zydis;

	if (zydis->raw.imm[0].size == 0 || !zydis->raw.imm[0].is_relative)
		return false;
	/* The immediate is at most 32 bits wide here, so this cannot overflow. */
	*target = (int64_t)instruction->offset + zydis->length + zydis->raw.imm[0].value.s;
	return true;
}

bool ml_instruction_is_control_flow(const struct ml_instruction *instruction)
{
	switch (instruction->zydis.meta.category) {
	case ZYDIS_CATEGORY_CALL:
	case ZYDIS_CATEGORY_COND_BR:
	case ZYDIS_CATEGORY_INTERRUPT:
	case ZYDIS_CATEGORY_RET:
	case ZYDIS_CATEGORY_SYSCALL:
	case ZYDIS_CATEGORY_SYSRET:
	case ZYDIS_CATEGORY_SYSTEM:
	case ZYDIS_CATEGORY_UNCOND_BR:
		return true;
	default:
		break;
	}
	switch (instruction->zydis.mnemonic) {
	case ZYDIS_MNEMONIC_UD0:
	case ZYDIS_MNEMONIC_UD1:
	case ZYDIS_MNEMONIC_UD2:
	case ZYDIS_MNEMONIC_HLT:
	case ZYDIS_MNEMONIC_XBEGIN:
	case ZYDIS_MNEMONIC_XABORT:
		return true;
	default:
		return false;
	}
}

static bool is_needed(ZydisRegister reg, unsigned int arguments)
{
	/* The System V x86-64 ABI's order; the kernel's system calls use r10 for rcx, libc does
	 * the exchange. */
	static const ZydisRegister order[] = {
		ZYDIS_REGISTER_RDI, ZYDIS_REGISTER_RSI, ZYDIS_REGISTER_RDX,
		ZYDIS_REGISTER_RCX, ZYDIS_REGISTER_R8,  ZYDIS_REGISTER_R9,
	};
	ZydisRegister whole = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg);

	if (whole == ZYDIS_REGISTER_RSP)
		return true;
	for (size_t i = 0; i < sizeof(order) / sizeof(*order); i++)
		if ((arguments >> i & 1) && whole == order[i])
			return true;
	return false;
}

bool ml_instruction_clobbers(const struct ml_instruction *instruction, unsigned int arguments)
{
	for (size_t i = 0; i < instruction->zydis.operand_count; i++) {
		const ZydisDecodedOperand *operand = &instruction->operands[i];

		if (operand->type == ZYDIS_OPERAND_TYPE_REGISTER &&
		    (operand->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) &&
		    is_needed(operand->reg.value, arguments))
			return true;
	}
	return false;
}

static bool is_register(const ZydisDecodedOperand *operand, ZydisRegister reg)
{
	return operand->type == ZYDIS_OPERAND_TYPE_REGISTER && operand->reg.value == reg;
}

bool ml_instruction_shifts_first(const struct ml_instruction *instruction)
{
	return instruction->zydis.mnemonic == ZYDIS_MNEMONIC_MOV &&
	       is_register(&instruction->operands[0], ZYDIS_REGISTER_RSI) &&
	       is_register(&instruction->operands[1], ZYDIS_REGISTER_RDI);
}

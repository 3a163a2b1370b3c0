/* SPDX-License-Identifier: BSD-2-Clause */
#include "allocators/probe_site.h"

#include "allocators/roles.h"

/* Instructions looked at from the entry on: compilers put the first push or branch earlier. */
#define ENTRY_INSTRUCTIONS 32

static bool has_prefix(const ZydisDecodedInstruction *zydis, uint8_t prefix)
{
	for (size_t i = 0; i < zydis->raw.prefix_count; i++)
		if (zydis->raw.prefixes[i].value == prefix)
			return true;
	return false;
}

/* 0x90 or 0f 1f: insn_is_nop() in arch/x86/kernel/uprobes.c. f3 90 is pause and f3 0f 1e fa is
 * endbr64; neither is emulated (measured on 6.18). Before 6.18 only 0x90 is. */
static bool is_emulated_nop(const ZydisDecodedInstruction *zydis)
{
	if (zydis->mnemonic != ZYDIS_MNEMONIC_NOP || has_prefix(zydis, 0xf3) ||
	    has_prefix(zydis, 0xf2))
		return false;
	if (zydis->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT)
		return zydis->opcode == 0x90;
	return zydis->opcode_map == ZYDIS_OPCODE_MAP_0F && zydis->opcode == 0x1f;
}

/* push r64 of one byte, or of two with the prefix 0x41: push_setup_xol_ops(). */
static bool is_emulated_push(const ZydisDecodedInstruction *zydis)
{
	if (zydis->opcode_map != ZYDIS_OPCODE_MAP_DEFAULT || (zydis->opcode & 0xf8) != 0x50)
		return false;
	return zydis->length == 1 ||
	       (zydis->length == 2 && zydis->raw.prefix_count == 1 && has_prefix(zydis, 0x41));
}

/* jmp, jcc and call to a fixed place, without the operand size prefix: branch_setup_xol_ops(). */
static bool is_emulated_branch(const ZydisDecodedInstruction *zydis)
{
	uint8_t opcode = zydis->opcode;

	if (has_prefix(zydis, 0x66))
		return false;
	if (zydis->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT)
		return opcode == 0xeb || opcode == 0xe9 || opcode == 0xe8 ||
		       (opcode & 0xf0) == 0x70;
	return zydis->opcode_map == ZYDIS_OPCODE_MAP_0F && (opcode & 0xf0) == 0x80;
}

/*
 * What arch/x86/kernel/uprobes.c turns down: is_prefix_bad() (the segments es, cs, ss, ds and
 * lock), insn_masking_exception() (pop ss, mov ss), and the opcodes missing from its tables:
 * port and string input/output, traps, privileged ones. EVEX (0x62) and XOP are in no table.
 */
static bool is_refused(const ZydisDecodedInstruction *zydis)
{
	static const uint8_t bad_prefixes[] = {0x26, 0x2e, 0x36, 0x3e, 0xf0};

	for (size_t i = 0; i < sizeof(bad_prefixes); i++)
		if (has_prefix(zydis, bad_prefixes[i]))
			return true;
	if (zydis->attributes & ZYDIS_ATTRIB_IS_PRIVILEGED)
		return true;
	if (zydis->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY &&
	    zydis->encoding != ZYDIS_INSTRUCTION_ENCODING_VEX)
		return true;
	switch (zydis->meta.category) {
	case ZYDIS_CATEGORY_INTERRUPT:
	case ZYDIS_CATEGORY_IO:
	case ZYDIS_CATEGORY_IOSTRINGOP:
	case ZYDIS_CATEGORY_SEGOP:
	case ZYDIS_CATEGORY_SYSTEM:
	case ZYDIS_CATEGORY_SYSRET:
		return true;
	default:
		break;
	}
	switch (zydis->mnemonic) {
	case ZYDIS_MNEMONIC_UD0:
	case ZYDIS_MNEMONIC_UD1:
	case ZYDIS_MNEMONIC_UD2:
	case ZYDIS_MNEMONIC_CLI:
	case ZYDIS_MNEMONIC_STI:
	case ZYDIS_MNEMONIC_HLT:
		return true;
	case ZYDIS_MNEMONIC_MOV: /* mov to a segment register */
		return zydis->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && zydis->opcode == 0x8e;
	default:
		return false;
	}
}

static bool is_emulated(const ZydisDecodedInstruction *zydis)
{
	return !is_refused(zydis) &&
	       (is_emulated_nop(zydis) || is_emulated_push(zydis) || is_emulated_branch(zydis));
}

/*
 * True when some branch of the function goes to a byte after the entry, up to the site: a loop
 * would pass the probe more than once. Bytes that do not decode (data in hand-written assembly)
 * mean that we do not know. Only direct branches are seen: compilers' jump tables hold the cases
 * of a switch, which the straight path from the entry has not come to.
 */
static bool is_branched_into(const struct ml_code *code, size_t site)
{
	struct ml_instruction instruction;
	int64_t target;

	for (size_t at = 0; at < code->size; at += instruction.zydis.length) {
		if (!ml_code_decode_short(code, at, &instruction)) {
			/* The last bytes of a part of a function may be half an instruction. */
			return code->is_whole || at <= site;
		}
		if (ml_instruction_target(&instruction, &target) && target > 0 &&
		    target <= (int64_t)site)
			return true;
	}
	return false;
}

/* What has to stay as it is on the way, and which role that is. */
struct registers {
	unsigned int needed; /* bits of ML_ARGUMENTS() */
	enum ml_role role;
	bool has_copy; /* the size is in the second argument as well */
};

/* Goes past @p instruction; false when what is needed is lost with it. */
static bool keep_registers(struct registers *registers, const struct ml_instruction *instruction)
{
	if (ml_instruction_is_control_flow(instruction))
		return false;
	if (registers->has_copy && ml_instruction_clobbers(instruction, registers->needed)) {
		registers->needed = ML_ARGUMENT_SECOND;
		registers->role = ML_ROLE_ALIGNED_ALLOC;
		registers->has_copy = false;
	}
	if (ml_instruction_clobbers(instruction, registers->needed))
		return false;
	if (registers->role == ML_ROLE_MALLOC) {
		if (ml_instruction_shifts_first(instruction))
			registers->has_copy = true;
		else if (ml_instruction_clobbers(instruction, ML_ARGUMENT_SECOND))
			registers->has_copy = false;
	}
	return true;
}

bool ml_probe_site_pick(const struct ml_code *code, enum ml_role role, struct ml_probe_site *out)
{
	struct registers registers = {ML_ARGUMENTS(ml_role_argument_count(role)), role, false};
	struct ml_probe_site stepped = {.role = role};
	struct ml_instruction instruction;
	bool has_stepped = false;
	size_t at = 0;

	for (int i = 0; i < ENTRY_INSTRUCTIONS; i++, at += instruction.zydis.length) {
		if (!ml_code_decode(code, at, &instruction))
			break;
		if (is_emulated(&instruction.zydis)) {
			if (is_branched_into(code, at))
				break;
			*out = (struct ml_probe_site){at, registers.role, true};
			return true;
		}
		if (!has_stepped && !is_refused(&instruction.zydis) &&
		    (at == 0 || !is_branched_into(code, at))) {
			stepped.offset = at;
			stepped.role = registers.role;
			has_stepped = true;
		}
		if (!keep_registers(&registers, &instruction))
			break;
	}
	if (has_stepped)
		*out = stepped;
	return has_stepped;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "allocators/thunk.h"

#include <elf.h>
#include <string.h>

/* Instructions before the jump: enough to put a handful of arguments in their places. */
#define THUNK_INSTRUCTIONS 10

static const char *dynamic_name(struct ml_module *module, uint32_t index)
{
	struct ml_section symbols, names;
	Elf64_Sym symbol;

	if (!ml_module_section(module, ".dynsym", &symbols) ||
	    !ml_module_section(module, ".dynstr", &names) || index >= symbols.size / sizeof(symbol))
		return NULL;
	memcpy(&symbol, symbols.bytes + index * sizeof(symbol), sizeof(symbol));
	if (symbol.st_name >= names.size ||
	    !memchr(names.bytes + symbol.st_name, 0, names.size - symbol.st_name))
		return NULL;
	return (const char *)names.bytes + symbol.st_name;
}

/* The name the loader puts the address of into the GOT slot at @p slot. */
static const char *slot_name(struct ml_module *module, uint64_t slot)
{
	/* Lazily bound slots stand in the first table, the ones of .plt.got in the second. */
	static const char *const tables[] = {".rela.plt", ".rela.dyn"};
	struct ml_section table;
	Elf64_Rela rela;

	for (size_t i = 0; i < sizeof(tables) / sizeof(*tables); i++) {
		if (!ml_module_section(module, tables[i], &table))
			continue;
		for (size_t at = 0; at + sizeof(rela) <= table.size; at += sizeof(rela)) {
			memcpy(&rela, table.bytes + at, sizeof(rela));
			if (rela.r_offset == slot && ELF64_R_SYM(rela.r_info))
				return dynamic_name(module, ELF64_R_SYM(rela.r_info));
		}
	}
	return NULL;
}

/* The GOT slot of `jmp *slot(%rip)` in the code at ELF address @code_address. */
static bool jump_slot(const struct ml_instruction *instruction, uint64_t code_address,
		      uint64_t *slot)
{
	const ZydisDecodedOperand *operand = &instruction->operands[0];

	if (instruction->zydis.mnemonic != ZYDIS_MNEMONIC_JMP ||
	    instruction->zydis.operand_count == 0 || operand->type != ZYDIS_OPERAND_TYPE_MEMORY ||
	    operand->mem.base != ZYDIS_REGISTER_RIP)
		return false;
	*slot = code_address + instruction->offset + instruction->zydis.length +
		(uint64_t)operand->mem.disp.value;
	return true;
}

/* A PLT entry: an indirect jump through a GOT slot, after endbr64 where CET is on. */
static const char *plt_name(struct ml_module *module, uint64_t address)
{
	uint8_t bytes[16];
	struct ml_code code = {.bytes = bytes, .size = sizeof(bytes)};
	struct ml_instruction instruction;
	uint64_t slot;

	if (!ml_module_read(module, address, bytes, sizeof(bytes)) ||
	    !ml_code_decode(&code, 0, &instruction))
		return NULL;
	if (instruction.zydis.mnemonic == ZYDIS_MNEMONIC_ENDBR64 &&
	    !ml_code_decode(&code, instruction.zydis.length, &instruction))
		return NULL;
	return jump_slot(&instruction, address, &slot) ? slot_name(module, slot) : NULL;
}

static bool resolve(struct ml_module *module, uint64_t address,
		    const struct ml_instruction *instruction, struct ml_thunk *out)
{
	struct ml_thunk thunk = {0};
	int64_t target;
	uint64_t slot;

	if (ml_instruction_target(instruction, &target)) {
		thunk.name = plt_name(module, address + (uint64_t)target);
		if (!thunk.name)
			thunk.address = address + (uint64_t)target;
	} else if (jump_slot(instruction, address, &slot)) {
		thunk.name = slot_name(module, slot);
	}
	if (!thunk.name && !thunk.address)
		return false;
	*out = thunk;
	return true;
}

/* `test %rdi,%rdi` */
static bool is_null_test(const struct ml_instruction *instruction)
{
	return instruction->zydis.mnemonic == ZYDIS_MNEMONIC_TEST &&
	       instruction->operands[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
	       instruction->operands[0].reg.value == ZYDIS_REGISTER_RDI &&
	       instruction->operands[1].type == ZYDIS_OPERAND_TYPE_REGISTER &&
	       instruction->operands[1].reg.value == ZYDIS_REGISTER_RDI;
}

bool ml_thunk_find(struct ml_module *module, uint64_t address, const struct ml_code *code,
		   enum ml_role role, struct ml_thunk *out)
{
	struct ml_instruction instruction;
	bool after_null_test = false;
	size_t at = 0;

	for (int i = 0; i < THUNK_INSTRUCTIONS; i++, at += instruction.zydis.length) {
		if (!ml_code_decode(code, at, &instruction))
			return false;
		if (instruction.zydis.mnemonic == ZYDIS_MNEMONIC_JMP)
			return resolve(module, address, &instruction, out);
		bool is_null_exit = role == ML_ROLE_FREE && after_null_test &&
				    instruction.zydis.mnemonic == ZYDIS_MNEMONIC_JZ;
		if (ml_instruction_is_control_flow(&instruction) && !is_null_exit)
			return false;
		/* The callee of free() has to get the same block; what allocates may get its
		 * arguments in another order. */
		if (ml_instruction_clobbers(&instruction,
					    role == ML_ROLE_FREE ? ML_ARGUMENT_FIRST : 0))
			return false;
		after_null_test = is_null_test(&instruction);
	}
	return false;
}

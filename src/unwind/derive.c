/* SPDX-License-Identifier: BSD-2-Clause */
#include "unwind/derive.h"

#include "base/file.h"

#include <Zydis/Zydis.h>

#define SIZE_LIMIT (4u << 20)

/** What is known before an instruction runs. All-zero: nothing. */
struct state {
	bool is_known;
	bool is_start;  /**< a function starts here */
	bool has_frame; /**< rbp is a frame pointer: CFA = rbp + 8 * frame_words */
	bool rbp_saved; /**< the caller's rbp is at CFA - 8 * rbp_words */
	int16_t depth;  /**< CFA = rsp + 8 * depth; 0: rsp was moved by who knows what */
	int8_t frame_words;
	int8_t rbp_words;
};

static const struct state at_entry = {.is_known = true, .is_start = true, .depth = 1};

/** One segment of code while it is followed. */
struct code {
	const uint8_t *bytes;
	size_t size;
	uint64_t address;
	ZydisDecoder decoder;
	struct state *states;    /**< one a byte */
	ML_ARRAY(uint32_t) todo; /**< offsets to go on from; their states are set */
};

struct instruction {
	ZydisDecodedInstruction zydis;
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
};

/** Flow reaches @p address in @p state. The first to come decides; functions start as such. */
static void reach(struct code *code, uint64_t address, struct state state)
{
	uint64_t offset = address - code->address;

	if (offset >= code->size)
		return;

	struct state *known = &code->states[offset];

	if (known->is_known) {
		known->is_start |= state.is_start;
		return;
	}
	*known = state;
	*ml_array_push(&code->todo) = (uint32_t)offset;
}

static bool is_register(const ZydisDecodedOperand *operand, ZydisRegister reg)
{
	return operand->type == ZYDIS_OPERAND_TYPE_REGISTER && operand->reg.value == reg;
}

/** Whether the instruction changes @p reg, named or not. */
static bool writes(const struct instruction *in, ZydisRegister reg)
{
	for (size_t i = 0; i < in->zydis.operand_count; i++) {
		const ZydisDecodedOperand *operand = &in->operands[i];

		if (operand->type == ZYDIS_OPERAND_TYPE_REGISTER &&
		    (operand->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) &&
		    ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64,
						     operand->reg.value) == reg)
			return true;
	}
	return false;
}

/** rsp becomes CFA - 8 * @p depth, in bytes as far as the caller knows. */
static void set_depth(struct state *state, int64_t bytes)
{
	state->depth =
		bytes % 8 == 0 && bytes >= 8 && bytes < 8 * INT16_MAX ? (int16_t)(bytes / 8) : 0;
}

static void move_stack(struct state *state, int64_t bytes)
{
	if (state->depth)
		set_depth(state, (int64_t)state->depth * 8 + bytes);
}

static void run_push(struct state *state, const struct instruction *in)
{
	move_stack(state, in->zydis.operand_width / 8);
	if (is_register(&in->operands[0], ZYDIS_REGISTER_RBP) && !state->rbp_saved &&
	    !state->has_frame && state->depth && state->depth <= INT8_MAX) {
		state->rbp_saved = true;
		state->rbp_words = (int8_t)state->depth;
	}
}

static void run_pop(struct state *state, const struct instruction *in)
{
	if (is_register(&in->operands[0], ZYDIS_REGISTER_RBP)) {
		/* Of the saved one, or of some value that went through the stack. */
		state->has_frame = false;
		if (state->rbp_saved && state->depth == state->rbp_words)
			state->rbp_saved = false;
	}
	move_stack(state, -(int64_t)in->zydis.operand_width / 8);
}

/** mov and lea from one of rsp and rbp to the other; false when it is none. */
static bool run_copy(struct state *state, const struct instruction *in)
{
	const ZydisDecodedOperand *to = &in->operands[0], *from = &in->operands[1];
	ZydisRegister source =
		from->type == ZYDIS_OPERAND_TYPE_REGISTER ? from->reg.value : from->mem.base;
	int64_t distance = 0;

	if (in->zydis.mnemonic == ZYDIS_MNEMONIC_LEA) {
		if (from->mem.index != ZYDIS_REGISTER_NONE)
			return false;
		distance = from->mem.disp.value;
	} else if (from->type != ZYDIS_OPERAND_TYPE_REGISTER) {
		return false;
	}
	if (is_register(to, ZYDIS_REGISTER_RSP) && source == ZYDIS_REGISTER_RSP) {
		move_stack(state, -distance);
		return true;
	}
	if (is_register(to, ZYDIS_REGISTER_RSP) && source == ZYDIS_REGISTER_RBP &&
	    state->has_frame) {
		set_depth(state, (int64_t)state->frame_words * 8 - distance);
		return true;
	}
	if (is_register(to, ZYDIS_REGISTER_RBP) && source == ZYDIS_REGISTER_RSP && !distance &&
	    state->depth && state->depth <= INT8_MAX) {
		state->has_frame = true;
		state->frame_words = (int8_t)state->depth;
		return true;
	}
	return false;
}

/** What the instruction leaves. */
static void run(struct state *state, const struct instruction *in)
{
	const ZydisDecodedOperand *operands = in->operands;

	state->is_start = false;
	switch (in->zydis.mnemonic) {
	case ZYDIS_MNEMONIC_CALL:
		return;
	case ZYDIS_MNEMONIC_PUSH:
		run_push(state, in);
		return;
	case ZYDIS_MNEMONIC_POP:
		run_pop(state, in);
		return;
	case ZYDIS_MNEMONIC_LEAVE:
		set_depth(state, state->has_frame ? ((int64_t)state->frame_words - 1) * 8 : 0);
		state->has_frame = state->rbp_saved = false;
		return;
	case ZYDIS_MNEMONIC_ADD:
	case ZYDIS_MNEMONIC_SUB:
		if (is_register(&operands[0], ZYDIS_REGISTER_RSP) &&
		    operands[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
			int64_t bytes = operands[1].imm.value.s;

			move_stack(state,
				   in->zydis.mnemonic == ZYDIS_MNEMONIC_SUB ? bytes : -bytes);
			return;
		}
		break;
	case ZYDIS_MNEMONIC_MOV:
	case ZYDIS_MNEMONIC_LEA:
		if (run_copy(state, in))
			return;
		break;
	default:
		break;
	}
	if (writes(in, ZYDIS_REGISTER_RSP))
		state->depth = 0;
	if (writes(in, ZYDIS_REGISTER_RBP))
		state->has_frame = false;
}

/**
 * What code the instruction refers to: where it jumps, the function it calls, or whose address it
 * takes (lea, as for callbacks). False when only the running program knows.
 */
static bool target_of(const struct instruction *in, uint64_t address, uint64_t *target)
{
	const ZydisDecodedOperand *operand = &in->operands[0];

	if (in->zydis.mnemonic == ZYDIS_MNEMONIC_LEA) {
		operand = &in->operands[1];
		if (operand->mem.base != ZYDIS_REGISTER_RIP)
			return false;
	} else if (!in->zydis.operand_count || operand->type != ZYDIS_OPERAND_TYPE_IMMEDIATE ||
		   !operand->imm.is_relative) {
		return false;
	}
	return ZYAN_SUCCESS(ZydisCalcAbsoluteAddress(&in->zydis, operand, address, target));
}

static bool is_to_function(const struct instruction *in)
{
	return in->zydis.mnemonic == ZYDIS_MNEMONIC_CALL ||
	       in->zydis.mnemonic == ZYDIS_MNEMONIC_LEA;
}

static bool falls_through(const struct instruction *in)
{
	switch (in->zydis.mnemonic) {
	case ZYDIS_MNEMONIC_RET:
	case ZYDIS_MNEMONIC_JMP:
	case ZYDIS_MNEMONIC_HLT:
	case ZYDIS_MNEMONIC_UD2:
	case ZYDIS_MNEMONIC_INT3:
		return false;
	default:
		return true;
	}
}

/** Whether padding follows the call at @p offset: it never returns, another function comes next. */
static bool is_last_call(const struct code *code, size_t offset, const struct instruction *in)
{
	ZydisDecodedInstruction next;

	offset += in->zydis.length;
	return in->zydis.mnemonic == ZYDIS_MNEMONIC_CALL &&
	       (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(
			&code->decoder, NULL, code->bytes + offset, code->size - offset, &next)) ||
		next.mnemonic == ZYDIS_MNEMONIC_NOP);
}

/** Runs on from one offset until the flow ends or meets what is known. */
static void follow(struct code *code, uint32_t offset)
{
	struct state state = code->states[offset];
	struct instruction in;
	uint64_t address = code->address + offset, target;

	if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&code->decoder, code->bytes + offset,
						 code->size - offset, &in.zydis, in.operands)))
		return;
	run(&state, &in);
	if (target_of(&in, address, &target))
		reach(code, target, is_to_function(&in) ? at_entry : state);
	if (falls_through(&in) && !is_last_call(code, offset, &in))
		reach(code, address + in.zydis.length, state);
}

static void follow_all(struct code *code)
{
	while (code->todo.count)
		follow(code, code->todo.items[--code->todo.count]);
}

static void symbol_reach(const struct ml_symbol *symbol, void *context)
{
	reach(context, symbol->address, at_entry);
}

/**
 * Calls in code that is reached by jump tables only show as their opcode and a distance that leads
 * to where a function can start: aligned, or behind a `ret`. Other bytes that look like that are
 * one in 10^5.
 */
static void calls_reach(struct code *code)
{
	for (size_t i = 0; i + 5 <= code->size; i++) {
		int32_t distance;
		uint64_t target;

		if (code->bytes[i] != 0xe8)
			continue;
		memcpy(&distance, code->bytes + i + 1, sizeof(distance));
		target = i + 5 + (uint64_t)(int64_t)distance;
		if (target > 0 && target < code->size &&
		    ((code->address + target) % 16 == 0 || code->bytes[target - 1] == 0xc3))
			reach(code, code->address + target, at_entry);
	}
}

/**
 * Twice: the calls met in the first round say where functions start, so that in the second round no
 * flow that goes on behind a call that never returns decides the state of the next function.
 */
static void states_find(struct code *code, struct ml_module *module, const struct ml_text *text,
			const struct ml_functions *functions)
{
	ml_module_each_function(module, symbol_reach, code);
	reach(code, text->entry, at_entry);
	calls_reach(code);
	/* Those with CFI need no rows, but they call others. */
	for (size_t i = 0; i < functions->list.count; i++) {
		if (functions->list.items[i].cie != ML_FUNCTION_ROW)
			reach(code, text->base + functions->list.items[i].pc, at_entry);
	}
	follow_all(code);
	for (size_t i = 0; i < code->size; i++) {
		bool is_start = code->states[i].is_start;

		code->states[i] = (struct state){0};
		if (is_start)
			reach(code, code->address + i, at_entry);
	}
	follow_all(code);
}

static struct ml_unwind_row row_of(const struct state *state)
{
	struct ml_unwind_row row = {0};

	if (state->has_frame) {
		row.rules = ML_CFA_RBP;
		row.cfa_words = state->frame_words;
	} else if (state->depth) {
		row.rules = ML_CFA_RSP;
		row.cfa_words = state->depth;
	} else {
		return row; /* it may still have a frame pointer */
	}
	row.rules |= ML_ROW_RULES(0, 0, ML_RBX_LOST);
	if (state->rbp_saved) {
		row.rules |= ML_ROW_RULES(0, ML_RBP_CFA, 0);
		row.rbp_words = (int8_t)-state->rbp_words;
	}
	return row;
}

/** Adds a row for each instruction whose state is known; equal neighbours are joined. */
static void rows_add(struct code *code, const struct ml_text *text, struct ml_functions *functions)
{
	struct instruction in;
	size_t offset = 0;

	while (offset < code->size) {
		struct ml_unwind_row row = row_of(&code->states[offset]);
		size_t start = offset;

		if (!code->states[offset].is_known) {
			offset++;
			continue;
		}
		while (offset < code->size && code->states[offset].is_known) {
			struct ml_unwind_row next = row_of(&code->states[offset]);

			if (memcmp(&next, &row, sizeof(row)) ||
			    !ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(
				    &code->decoder, NULL, code->bytes + offset, code->size - offset,
				    &in.zydis)))
				break;
			offset += in.zydis.length;
		}
		if (offset == start)
			offset++;
		else
			ml_functions_add_row(functions, text, code->address + start, offset - start,
					     row);
	}
}

void ml_derive_functions(struct ml_module *module, const struct ml_text *text,
			 struct ml_functions *functions)
{
	size_t left = SIZE_LIMIT;

	for (size_t i = 0; i < text->count; i++) {
		struct code code = {.address = text->segments[i].start,
				    .size = text->segments[i].end - text->segments[i].start};
		ML_FREE_CLEANUP uint8_t *bytes = NULL;
		ML_FREE_CLEANUP struct state *states = NULL;

		if (code.size > left ||
		    !ZYAN_SUCCESS(ZydisDecoderInit(&code.decoder, ZYDIS_MACHINE_MODE_LONG_64,
						   ZYDIS_STACK_WIDTH_64)))
			continue;
		left -= code.size;
		code.bytes = bytes = ml_alloc(code.size);
		code.states = states = ml_alloc(code.size * sizeof(*states));
		if (ml_module_read(module, code.address, bytes, code.size)) {
			states_find(&code, module, text, functions);
			rows_add(&code, text, functions);
		}
		ml_array_free(&code.todo);
	}
	ml_functions_sort(functions);
}

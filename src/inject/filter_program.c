/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Filters are run as the kernel runs them (seccomp_run_filters() in kernel/seccomp.c), but on words
 * of which some are not known. A jump that depends on one goes both ways. Jumps only go forward, so
 * that one pass in the order of the code meets every instruction after all that lead to it; where
 * two ways meet, a word is known when both have the same.
 */
#include "inject/filter_program.h"

#include "base/file.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct word {
	uint32_t value;
	bool is_known;
};

/* What the kernel's machine holds before an instruction. */
struct state {
	bool is_reached;
	struct word a, x, memory[BPF_MEMWORDS];
};

struct machine {
	const struct ml_filter_call *call;
	const struct sock_filter *code;
	size_t count;
	struct state *states; /* one for each instruction */
	uint32_t answer;
};

static uint32_t stricter(uint32_t one, uint32_t other)
{
	/* ACTION_ONLY() of the kernel: signed, so that KILL_PROCESS comes first. */
	int32_t first = (int32_t)(one & SECCOMP_RET_ACTION_FULL);

	return first <= (int32_t)(other & SECCOMP_RET_ACTION_FULL) ? one : other;
}

static void answer(struct machine *machine, uint32_t value)
{
	machine->answer = stricter(value, machine->answer);
}

static struct word known(uint32_t value)
{
	return (struct word){value, true};
}

/* ---- instructions ------------------------------------------------------------------------------
 */

/* A word of struct seccomp_data. */
static struct word data_word(const struct ml_filter_call *call, uint32_t offset)
{
	struct seccomp_data data = {
		.nr = (int)call->number,
		.arch = AUDIT_ARCH_X86_64,
	};
	const uint32_t first = offsetof(struct seccomp_data, args);
	bool is_ip = offset >= offsetof(struct seccomp_data, instruction_pointer) && offset < first;
	uint32_t value;

	if (is_ip ||
	    (offset >= first && (call->unknown & ML_FILTER_UNKNOWN_ARGUMENT((offset - first) / 8))))
		return (struct word){0};
	memcpy(data.args, call->arguments, sizeof(data.args));
	memcpy(&value, (const char *)&data + offset, sizeof(value));
	return known(value);
}

static bool load(const struct machine *machine, struct state *state, const struct sock_filter *it)
{
	struct word word = known(it->k);

	switch (BPF_MODE(it->code)) {
	case BPF_IMM:
		break;
	case BPF_ABS:
		if (BPF_CLASS(it->code) != BPF_LD || it->k % 4 ||
		    it->k > sizeof(struct seccomp_data) - 4)
			return false;
		word = data_word(machine->call, it->k);
		break;
	case BPF_MEM:
		if (it->k >= BPF_MEMWORDS)
			return false;
		word = state->memory[it->k];
		break;
	case BPF_LEN:
		word = known(sizeof(struct seccomp_data));
		break;
	default:
		return false;
	}
	if (BPF_CLASS(it->code) == BPF_LD)
		state->a = word;
	else
		state->x = word;
	return true;
}

static bool store(struct state *state, const struct sock_filter *it)
{
	if (it->k >= BPF_MEMWORDS)
		return false;
	state->memory[it->k] = BPF_CLASS(it->code) == BPF_ST ? state->a : state->x;
	return true;
}

static bool compute(uint16_t operation, uint32_t b, uint32_t *a)
{
	switch (operation) {
	case BPF_ADD:
		*a += b;
		return true;
	case BPF_SUB:
		*a -= b;
		return true;
	case BPF_MUL:
		*a *= b;
		return true;
	case BPF_DIV:
		*a = b ? *a / b : 0;
		return b != 0;
	case BPF_AND:
		*a &= b;
		return true;
	case BPF_OR:
		*a |= b;
		return true;
	case BPF_XOR:
		*a ^= b;
		return true;
	case BPF_LSH:
		*a = b < 32 ? *a << b : 0;
		return true;
	case BPF_RSH:
		*a = b < 32 ? *a >> b : 0;
		return true;
	case BPF_NEG:
		*a = -*a;
		return true;
	default:
		return false;
	}
}

static struct word operand(const struct state *state, const struct sock_filter *it)
{
	return BPF_SRC(it->code) == BPF_X ? state->x : known(it->k);
}

static bool calculate(struct state *state, const struct sock_filter *it)
{
	struct word b = operand(state, it);
	bool is_known = state->a.is_known && (b.is_known || BPF_OP(it->code) == BPF_NEG);

	/* By what may be zero. */
	if (!b.is_known && BPF_OP(it->code) == BPF_DIV)
		return false;
	if (!compute(BPF_OP(it->code), b.is_known ? b.value : 0, &state->a.value))
		return false;
	state->a.is_known = is_known;
	return true;
}

static void move(struct state *state, const struct sock_filter *it)
{
	if (BPF_MISCOP(it->code) == BPF_TAX)
		state->x = state->a;
	else
		state->a = state->x;
}

/* ---- ways --------------------------------------------------------------------------------------
 */

static void meet(struct word *word, const struct word *other)
{
	word->is_known = word->is_known && other->is_known && word->value == other->value;
}

/* Goes on with @state at @at; behind the end there is nothing that could let the call pass. */
static void go_on(struct machine *machine, const struct state *state, size_t at)
{
	struct state *there = &machine->states[at];

	if (at >= machine->count) {
		answer(machine, SECCOMP_RET_KILL_PROCESS);
		return;
	}
	if (!there->is_reached) {
		*there = *state;
		return;
	}
	meet(&there->a, &state->a);
	meet(&there->x, &state->x);
	for (size_t i = 0; i < BPF_MEMWORDS; i++)
		meet(&there->memory[i], &state->memory[i]);
}

static bool is_true(uint16_t operation, uint32_t a, uint32_t b)
{
	switch (operation) {
	case BPF_JEQ:
		return a == b;
	case BPF_JGT:
		return a > b;
	case BPF_JGE:
		return a >= b;
	case BPF_JSET:
		return a & b;
	default:
		return false;
	}
}

static void jump(struct machine *machine, const struct state *state, size_t at)
{
	const struct sock_filter *it = &machine->code[at];
	struct word b = operand(state, it);
	bool is_known = state->a.is_known && b.is_known;

	if (BPF_OP(it->code) == BPF_JA) {
		go_on(machine, state, at + 1 + it->k);
		return;
	}
	if (!is_known || is_true(BPF_OP(it->code), state->a.value, b.value))
		go_on(machine, state, at + 1 + it->jt);
	if (!is_known || !is_true(BPF_OP(it->code), state->a.value, b.value))
		go_on(machine, state, at + 1 + it->jf);
}

static void leave(struct machine *machine, const struct state *state, const struct sock_filter *it)
{
	struct word value = BPF_RVAL(it->code) == BPF_A ? state->a : known(it->k);

	answer(machine, value.is_known ? value.value : SECCOMP_RET_KILL_PROCESS);
}

static void step(struct machine *machine, size_t at)
{
	const struct sock_filter *it = &machine->code[at];
	struct state state = machine->states[at];
	bool is_right = true;

	switch (BPF_CLASS(it->code)) {
	case BPF_LD:
	case BPF_LDX:
		is_right = load(machine, &state, it);
		break;
	case BPF_ST:
	case BPF_STX:
		is_right = store(&state, it);
		break;
	case BPF_ALU:
		is_right = calculate(&state, it);
		break;
	case BPF_MISC:
		move(&state, it);
		break;
	case BPF_JMP:
		jump(machine, &state, at);
		return;
	default:
		leave(machine, &state, it);
		return;
	}
	if (is_right)
		go_on(machine, &state, at + 1);
	else
		answer(machine, SECCOMP_RET_KILL_PROCESS);
}

uint32_t ml_filter_program_answer(const struct sock_filter *code, size_t count,
				  const struct ml_filter_call *call)
{
	struct machine machine = {.call = call, .code = code, .count = count};
	/* The kernel's machine begins with zeros. */
	struct state first = {.is_reached = true, .a = known(0), .x = known(0)};

	if (!count)
		return SECCOMP_RET_KILL_PROCESS;

	ML_FREE_CLEANUP struct state *states = ml_alloc(sizeof(*states) * count);

	machine.states = states;
	machine.answer = SECCOMP_RET_ALLOW;
	states[0] = first;
	for (size_t at = 0; at < count; at++)
		if (states[at].is_reached)
			step(&machine, at);
	return machine.answer;
}

/* ---- all of a thread ---------------------------------------------------------------------------
 */

uint32_t ml_filter_chain_answer(const ml_filter_chain *chain, const struct ml_filter_call *call)
{
	uint32_t strictest = SECCOMP_RET_ALLOW;

	ml_array_each (program, chain)
		strictest = stricter(ml_filter_program_answer(program->code, program->count, call),
				     strictest);
	return strictest;
}

void ml_filter_chain_free(ml_filter_chain *chain)
{
	ml_array_each (program, chain)
		free(program->code);
	ml_array_free(chain);
}
